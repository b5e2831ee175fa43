//! Frequency bands by name, in the recipe's order.

use crate::flow::Problems;
use crate::names::nearest;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Named half-open bands, low ≤ f < high, Hz: in TOML a table of `name = [low, high]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bands(pub Vec<(String, [f64; 2])>);

impl Default for Bands {
    /// delta 1–4, theta 4–8, alpha 8–13, beta 13–30, gamma 30–45 Hz.
    fn default() -> Self {
        let bands = [
            ("delta", [1.0, 4.0]),
            ("theta", [4.0, 8.0]),
            ("alpha", [8.0, 13.0]),
            ("beta", [13.0, 30.0]),
            ("gamma", [30.0, 45.0]),
        ];
        Self(bands.into_iter().map(|(name, band)| (name.to_owned(), band)).collect())
    }
}

impl Bands {
    /// The place of the band of this name; else a problem at `key`, with the nearest name.
    pub fn position(&self, name: &str, key: &str, problems: &mut Problems) -> Option<usize> {
        let at = self.0.iter().position(|(n, _)| n == name);
        if at.is_none() {
            let near = nearest(name, self.0.iter().map(|(n, _)| n.as_str()));
            let hint = near.map_or_else(String::new, |n| format!("; did you mean {n}?"));
            problems.add(key, format!("no band is called {name}{hint}"));
        }
        at
    }
}

/// A band from a frequency of 0 Hz or more to a higher one that a signal sampled at `rate_hz` can hold; else a problem.
pub(super) fn check(key: &str, [low, high]: [f64; 2], rate_hz: f64, problems: &mut Problems) -> bool {
    let nyquist = rate_hz / 2.0;
    let message = if !(low >= 0.0 && low < high && high.is_finite()) {
        format!("{low}…{high} Hz is no band: from a frequency to a higher one")
    } else if high > nyquist * (1.0 + 1e-9) {
        format!("{low}…{high} Hz needs a rate of {} Hz at least; here {rate_hz} Hz", 2.0 * high)
    } else {
        return true;
    };
    problems.add(key, message);
    false
}

impl Serialize for Bands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, band)| (name, band)))
    }
}

impl<'de> Deserialize<'de> for Bands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Bands;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bands as name = [low, high] in Hz")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bands, A::Error> {
                let mut bands = Vec::new();
                while let Some(band) = map.next_entry()? {
                    bands.push(band);
                }
                Ok(Bands(bands))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_keep_their_order_and_read_back() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Config {
            bands_hz: Bands,
        }
        let config: Config = toml::from_str("[bands_hz]\nupper = [10, 13]\nalpha = [8, 13.5]\n").unwrap();
        assert_eq!(config.bands_hz.0, [("upper".to_owned(), [10.0, 13.0]), ("alpha".to_owned(), [8.0, 13.5])]);
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
        let error = toml::from_str::<Config>("bands_hz = 3").unwrap_err().to_string();
        assert!(error.contains("name = [low, high]"), "{error}");
    }

    #[test]
    fn problems_have_both_numbers() {
        let mut problems = Problems::default();
        assert!(check("a", [0.0, 125.0], 250.0, &mut problems) && problems.list().is_empty());
        assert!(!check("a", [30.0, 126.0], 250.0, &mut problems));
        assert!(!check("b", [8.0, 8.0], 250.0, &mut problems));
        assert!(!check("c", [f64::NAN, 8.0], 250.0, &mut problems));
        assert_eq!(Bands::default().position("aplha", "d", &mut problems), None);
        assert_eq!(Bands::default().position("alpha", "d", &mut problems), Some(2));
        let list: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
        assert_eq!(
            list,
            [
                "a: 30…126 Hz needs a rate of 252 Hz at least; here 250 Hz",
                "b: 8…8 Hz is no band: from a frequency to a higher one",
                "c: NaN…8 Hz is no band: from a frequency to a higher one",
                "d: no band is called aplha; did you mean alpha?",
            ]
        );
    }
}
