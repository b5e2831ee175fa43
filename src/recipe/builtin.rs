//! The recipes that come with the program.

use super::suggest;
use crate::{Error, Result};

/// A recipe that comes with the program.
#[derive(Debug)]
pub struct Builtin {
    /// Name, as in `stimkit run NAME`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
    /// Its TOML.
    pub text: &'static str,
}

/// All of them.
pub const BUILTIN: &[Builtin] = &[
    Builtin {
        name: "tep",
        about: "TMS-evoked potentials: pulse bridged, 80 Hz low-pass, drift taken off, bad channels and trials left out",
        text: include_str!("../../recipes/tep.toml"),
    },
    Builtin {
        name: "tep-1hz",
        about: "TMS-evoked potentials as many published pipelines compute them: 1-80 Hz and a band-stop at the line frequency",
        text: include_str!("../../recipes/tep-1hz.toml"),
    },
    Builtin {
        name: "tms-live",
        about: "TMS-evoked potentials while the recording runs: causal, a running average",
        text: include_str!("../../recipes/tms-live.toml"),
    },
    Builtin {
        name: "power",
        about: "Spectra and band power of continuous recordings: Welch, segments of 4 s, average reference",
        text: include_str!("../../recipes/power.toml"),
    },
    Builtin {
        name: "connectivity",
        about: "Coherence and phase measures between all pairs of channels, in windows of 4 s",
        text: include_str!("../../recipes/connectivity.toml"),
    },
    Builtin {
        name: "rest-connectivity-lagfree",
        about: "Resting connectivity by measures that volume conduction cannot fake",
        text: include_str!("../../recipes/rest-connectivity-lagfree.toml"),
    },
    Builtin {
        name: "pre-pulse-state",
        about: "What the brain did in the 1.5 s before each TMS pulse",
        text: include_str!("../../recipes/pre-pulse-state.toml"),
    },
    Builtin {
        name: "tfr",
        about: "Power and phase locking over time and frequency around events: Morlet wavelets, 4-45 Hz",
        text: include_str!("../../recipes/tfr.toml"),
    },
    Builtin {
        name: "tms-tfr",
        about: "Power and phase locking over time and frequency around TMS pulses, and the natural frequency",
        text: include_str!("../../recipes/tms-tfr.toml"),
    },
    Builtin {
        name: "tacs",
        about: "The artefact of tACS taken out and what is left judged; power, entrainment and after-effects by stretches",
        text: include_str!("../../recipes/tacs.toml"),
    },
    Builtin {
        name: "phase",
        about: "The phase of the alpha rhythm at every sample, without looking ahead, and triggers at its peak",
        text: include_str!("../../recipes/phase.toml"),
    },
    Builtin {
        name: "pre-post",
        about: "What changed from before stimulation to after it (tDCS, photobiomodulation, tACS): power, alpha, connectivity, drift",
        text: include_str!("../../recipes/pre-post.toml"),
    },
];

impl Builtin {
    /// The recipe of this name.
    ///
    /// # Errors
    /// When there is none; the nearest is suggested.
    pub fn find(name: &str) -> Result<&'static Self> {
        BUILTIN.iter().find(|b| b.name == name).ok_or_else(|| {
            let names: Vec<&str> = BUILTIN.iter().map(|b| b.name).collect();
            Error::usage(suggest::unknown("recipe", name, &names))
        })
    }
}
