//! TOML ⇄ plain structs, and the parts they build.
