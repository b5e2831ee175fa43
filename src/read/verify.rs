//! x
/// v
pub enum Verification {
    /// x
    Differs {},
    /// x
    Confirmed {},
}
impl std::fmt::Display for Verification {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
/// v
pub fn verify(_p: &std::path::Path) -> crate::Result<Verification> {
    Ok(Verification::Confirmed {})
}
