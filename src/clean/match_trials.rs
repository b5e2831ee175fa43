//! Match trials: as many epochs in every condition, so that measures whose bias depends on their number can be compared.

use crate::flow::{BuildContext, EpochInfo, Fit, FitConfig, Model, Problems, Reason, Rewind, Step, Verdict};
use crate::signal::Epoch;
use crate::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// The name in recipes and model files.
const NAME: &str = "match-trials";

/// Counts the epochs that reach it, condition by condition, and keeps as many of each as the smallest condition has; the
/// others are dropped with the reason `matched`. Put it last, so that what counts is what enters the averages.
///
/// A condition without any epoch does not count as the smallest, and an epoch with a non-finite sample in an entering channel
/// is not counted: it is dropped behind the last part. The Model is the counts. Used live, the choice among `n` counted epochs
/// starts anew after every `n` of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchTrials {
    /// Which ones are kept.
    pub choose: Choose,
}

/// Which epochs of a condition are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    /// Evenly spread over the recording, so that what changes with time (vigilance, impedances) stays balanced: of `n`
    /// epochs the `j`-th (from 0) is kept where ⌊(j + 1)·k/n⌋ > ⌊j·k/n⌋, which are `k`.
    #[default]
    Even,
    /// Drawn with the recipe's seed, each subset equally likely (selection sampling: Knuth, The Art of Computer
    /// Programming 2, algorithm 3.4.2 S).
    Random,
}

impl FitConfig for MatchTrials {
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, _: &mut Problems) -> Option<Box<dyn Fit>> {
        Some(Box::new(Count { choose: self.choose, seed: context.seed, input: input.clone() }))
    }
}

/// What is learnt: how many epochs each condition has, and how many each keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    counts: Vec<u64>,
    keep: u64,
}

struct Count {
    choose: Choose,
    seed: u64,
    input: EpochInfo,
}

impl Fit for Count {
    fn fit(&mut self, spool: &mut dyn Rewind) -> Result<Model> {
        let EpochInfo { clock, first, len, .. } = self.input;
        let mut epoch = Epoch::new(clock, first, self.input.channels.len(), len);
        let mut counts = vec![0_u64; self.input.conditions];
        spool.rewind()?;
        while spool.next(&mut epoch)? {
            if is_finite(&epoch)
                && let Some(count) = counts.get_mut(usize::from(epoch.condition))
            {
                *count += 1;
            }
        }
        let keep = counts.iter().copied().filter(|n| *n > 0).min().unwrap_or(0);
        let values = serde_json::to_value(Counts { counts, keep }).map_err(|e| Error::data(e.to_string()))?;
        Ok(Model { name: NAME.into(), channels: Vec::new(), values })
    }

    fn freeze(&self, model: &Model) -> Result<Box<dyn Step>> {
        let refused = |why: String| Error::data(format!("the model is not one of {NAME}: {why}"));
        if model.name != NAME {
            return Err(refused(format!("it is one of {}", model.name)));
        }
        let Counts { counts, keep } =
            serde_json::from_value(model.values.clone()).map_err(|e| refused(e.to_string()))?;
        if counts.len() != self.input.conditions {
            return Err(refused(format!("it counts {} conditions, here are {}", counts.len(), self.input.conditions)));
        }
        let quota = |(condition, n): (usize, &u64)| {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream(condition as u64);
            Quota { n: *n, keep: keep.min(*n), seen: 0, kept: 0, random }
        };
        Ok(Box::new(Matched { choose: self.choose, quotas: counts.iter().enumerate().map(quota).collect() }))
    }
}

/// Whether the epoch will pass the last look, which every entering channel must.
fn is_finite(epoch: &Epoch) -> bool {
    let finite = |c: usize| epoch.channel(c).iter().map(|v| v * 0.0).sum::<f64>() == 0.0;
    (0..epoch.channels()).all(|c| !epoch.enters[c] || finite(c))
}

/// One condition's share.
struct Quota {
    n: u64,
    keep: u64,
    seen: u64,
    kept: u64,
    random: ChaCha8Rng,
}

impl Quota {
    /// Whether the next one is kept.
    fn next(&mut self, choose: Choose) -> bool {
        if self.seen == self.n {
            (self.seen, self.kept) = (0, 0);
        }
        let (j, n, k) = (u128::from(self.seen), u128::from(self.n.max(1)), u128::from(self.keep));
        let keep = match choose {
            Choose::Even => (j + 1) * k / n > j * k / n,
            // U·(n − j) < k − kept, with U uniform in 0…1
            Choose::Random => u128::from(self.random.next_u64()) * (n - j) < u128::from(self.keep - self.kept) << 64,
        };
        self.seen += 1;
        self.kept += u64::from(keep);
        keep
    }
}

/// The frozen Step.
struct Matched {
    choose: Choose,
    quotas: Vec<Quota>,
}

impl Step for Matched {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        if !is_finite(epoch) {
            return Verdict::Keep;
        }
        let quota = self.quotas.get_mut(usize::from(epoch.condition));
        if quota.is_none_or(|q| q.next(self.choose)) { Verdict::Keep } else { Verdict::Drop(Reason::new("matched")) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{epoch, info};
    use super::*;

    /// Epochs of these conditions; those at `spoiled` hold a NaN.
    struct List {
        conditions: Vec<u16>,
        spoiled: Vec<usize>,
        at: usize,
    }

    impl Rewind for List {
        fn rewind(&mut self) -> Result<()> {
            self.at = 0;
            Ok(())
        }

        fn next(&mut self, out: &mut Epoch) -> Result<bool> {
            let Some(condition) = self.conditions.get(self.at) else { return Ok(false) };
            out.condition = *condition;
            out.channel_mut(0).fill(if self.spoiled.contains(&self.at) { f64::NAN } else { 1.0 });
            self.at += 1;
            Ok(true)
        }
    }

    /// Which of them are kept, and the model.
    fn kept(choose: Choose, seed: u64, list: &mut List) -> (Vec<usize>, Model) {
        let info = EpochInfo { conditions: 3, ..info(&["Cz"], 100.0, 0, 4) };
        let mut context = BuildContext { seed, ..BuildContext::default() };
        let mut fit = MatchTrials { choose }.build(&info, &mut context, &mut Problems::default()).unwrap();
        let model = fit.fit(list).unwrap();
        let mut step = fit.freeze(&model).unwrap();
        let mut epoch = epoch(&info, |_, _| 0.0);
        list.rewind().unwrap();
        let mut out = Vec::new();
        while list.next(&mut epoch).unwrap() {
            if step.apply(&mut epoch) == Verdict::Keep {
                out.push(list.at - 1);
            }
        }
        (out, model)
    }

    /// 40 of condition 0, 10 of condition 2, none of condition 1.
    fn list() -> List {
        List { conditions: (0..50).map(|i| if i % 5 == 4 { 2 } else { 0 }).collect(), spoiled: vec![], at: 0 }
    }

    #[test]
    fn every_condition_keeps_as_many_evenly_spread() {
        let mut list = list();
        let (kept, model) = kept(Choose::Even, 1, &mut list);
        assert_eq!(model.values, serde_json::json!({ "counts": [40, 0, 10], "keep": 10 }));
        let of = |c: u16| kept.iter().copied().filter(|i| list.conditions[*i] == c).collect::<Vec<_>>();
        assert_eq!(of(2), (0..10).map(|i| 5 * i + 4).collect::<Vec<_>>(), "the smallest keeps all");
        assert_eq!(of(0), (0..10).map(|i| 5 * i + 3).collect::<Vec<_>>(), "one of every four");
    }

    #[test]
    fn chosen_by_seed_they_are_exactly_as_many_and_another_seed_gives_others() {
        let runs: Vec<Vec<usize>> = [1, 1, 2].map(|seed| kept(Choose::Random, seed, &mut list()).0).to_vec();
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
        assert!(runs.iter().all(|r| r.len() == 20));
    }

    #[test]
    fn spoiled_epochs_do_not_count() {
        let mut list = List { spoiled: vec![4, 9], ..list() };
        let (kept, model) = kept(Choose::Even, 1, &mut list);
        assert_eq!(model.values["keep"], 8);
        let sound = |c: u16| kept.iter().filter(|i| list.conditions[**i] == c && !list.spoiled.contains(i)).count();
        assert_eq!((sound(0), sound(2)), (8, 8));
    }

    #[test]
    fn a_model_of_something_else_is_refused() {
        let info = EpochInfo { conditions: 2, ..info(&["Cz"], 100.0, 0, 4) };
        let fit = MatchTrials::default().build(&info, &mut BuildContext::default(), &mut Problems::default()).unwrap();
        let (_, model) = kept(Choose::Even, 1, &mut list());
        assert!(fit.freeze(&model).err().unwrap().to_string().contains("3 conditions, here are 2"));
        assert!(fit.freeze(&Model { name: "bad-channels".into(), ..model }).is_err());
    }
}
