//! BrainVision
use super::bytes::Folder;
use super::{FileSource, OpenOptions};
use crate::Result;
pub(super) const LONGEST_TEXT: u64 = 64 << 20;
/// Open.
pub fn open(_text: &[u8], _folder: &dyn Folder, _name: &str, _options: &OpenOptions) -> Result<FileSource> {
    Err(crate::Error::unsupported("not yet"))
}
