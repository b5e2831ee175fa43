//! Whose recording it is: entities from BIDS names, from a pattern, or from a sheet.

use crate::table::Identity;

/// Entities of a BIDS name: `sub-01_ses-2_task-rest_run-1_eeg` → subject 01, session 2, task rest, run 1.
/// A name that does not start with `sub-` has none.
pub fn from_bids(recording: &str, stem: &str) -> Identity {
    let mut identity = Identity { recording: recording.to_owned(), ..Identity::default() };
    if !stem.starts_with("sub-") {
        return identity;
    }
    for entity in stem.split('_') {
        match entity.split_once('-') {
            Some(("sub", value)) => identity.subject = value.to_owned(),
            Some(("ses", value)) => identity.session = value.to_owned(),
            Some(("task", value)) => identity.task = value.to_owned(),
            Some(("run", value)) => identity.run = value.to_owned(),
            _ => {}
        }
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_names_carry_entities() {
        let id = from_bids("x", "sub-07_ses-pre_task-tms_run-02_eeg");
        assert_eq!([id.subject, id.session, id.task, id.run], ["07", "pre", "tms", "02"]);
        assert_eq!(from_bids("x", "subject_1").subject, "");
    }
}
