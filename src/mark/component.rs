//! component: to be written.
