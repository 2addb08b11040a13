//! Learning-rate schedules. Everything about a schedule stands in this file.
//!
//! A new schedule is a variant of [`Schedule`], an entry of [`Schedule::ALL`], and an arm in each
//! of [`name`](Schedule::name), [`description`](Schedule::description),
//! [`default_warmup`](Schedule::default_warmup) and [`factor`](Schedule::factor).

use serde::{Deserialize, Serialize};

/// How the learning rate changes from step to step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// Half a cosine down to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts),
    /// after linear warm-up.
    Cosine,
    /// PyTorch's `OneCycleLR` (Smith and Topin 2018): half a cosine up from 1/25, then half a
    /// cosine down to 1/250000.
    OneCycle,
    /// A tenth after a third of the steps, a hundredth after two thirds, as in ImageNet's recipe of
    /// 90 epochs (He et al. 2016).
    Step,
    /// Rises by the same ratio at every step, by a factor of 10⁸ in 100 steps. Only a learning rate
    /// range test uses it.
    Sweep,
}

impl Schedule {
    /// The schedules to choose from: all except [`Sweep`](Self::Sweep).
    pub const ALL: [Self; 4] = [Self::Constant, Self::Cosine, Self::OneCycle, Self::Step];

    /// The name in files and on the command line, e.g. `one-cycle`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
            Self::Step => "step",
            Self::Sweep => "sweep",
        }
    }

    /// The schedule of that [name](Self::name) among [`ALL`](Self::ALL).
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|schedule| schedule.name() == name)
    }

    /// What the schedule does, in one line for help texts.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Constant => "The learning rate does not change",
            Self::Cosine => "Rises linearly over 5 % of the steps, falls along half a cosine to 0",
            Self::OneCycle => {
                "Rises over 30 % of the steps, falls to 1/250000 (PyTorch's OneCycleLR)"
            }
            Self::Step => "A tenth after one third of the steps, a hundredth after two thirds",
            Self::Sweep => "Rises by the same ratio at every step",
        }
    }

    /// The share of the steps over which the learning rate rises unless a recipe says otherwise.
    #[must_use]
    pub fn default_warmup(self) -> f64 {
        match self {
            Self::Cosine => 0.05,
            Self::OneCycle => 0.3,
            Self::Constant | Self::Step | Self::Sweep => 0.0,
        }
    }

    /// The learning rate at step `step` (from 0) of `total`, as a multiple of the recipe's.
    ///
    /// `warmup` is the share of the steps over which the learning rate rises; `None` stands for
    /// [`default_warmup`](Self::default_warmup). It rises linearly, except with
    /// [`OneCycle`](Self::OneCycle).
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(self, step: usize, total: usize, warmup: Option<f64>) -> f64 {
        let (step, total) = (step as f64, total as f64);
        let share = warmup.unwrap_or(self.default_warmup());
        if self == Self::OneCycle {
            return one_cycle([1.0 / 25.0, 1.0, 1.0 / 25.0 / 1e4], step, total, share);
        }
        let warm = (share * total).ceil();
        if step < warm {
            return (step + 1.0) / warm;
        }
        let done = (step - warm) / (total - warm).max(1.0);
        match self {
            Self::Constant | Self::OneCycle => 1.0,
            Self::Cosine => half_cosine(1.0, 0.0, done),
            Self::Step if done < 1.0 / 3.0 => 1.0,
            Self::Step if done < 2.0 / 3.0 => 0.1,
            Self::Step => 0.01,
            Self::Sweep => 1e8_f64.powf(step / 100.0),
        }
    }

    /// The momentum of SGD or Adam's β₁ at step `step` (from 0) of `total`; `None` if the schedule has
    /// no course for it. With [`OneCycle`](Self::OneCycle) it falls from 0.95 to 0.85 while the
    /// learning rate rises, and rises again while that falls.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn momentum(self, step: usize, total: usize, warmup: Option<f64>) -> Option<f64> {
        let share = warmup.unwrap_or(self.default_warmup());
        (self == Self::OneCycle)
            .then(|| one_cycle([0.95, 0.85, 0.95], step as f64, total as f64, share))
    }
}

/// From the first of three values to the second and on to the third. As in PyTorch, the two phases end
/// at steps `share · total - 1` and `total - 1`.
fn one_cycle([first, peak, last]: [f64; 3], step: f64, total: f64, share: f64) -> f64 {
    let (turn, end) = (share * total - 1.0, total - 1.0);
    if step <= turn && turn > 0.0 {
        half_cosine(first, peak, step / turn)
    } else {
        half_cosine(peak, last, (step - turn) / (end - turn).max(1.0))
    }
}

/// The value at `share` (0 to 1) of half a cosine that leads from one value to another.
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: Schedule, steps: &[usize], total: usize, warmup: Option<f64>) -> Vec<f64> {
        steps
            .iter()
            .map(|step| schedule.factor(*step, total, warmup))
            .collect()
    }

    fn assert_near(found: &[f64], wanted: &[f64]) {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{found} instead of {wanted}");
        }
    }

    #[test]
    fn one_cycle_agrees_with_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(SGD(lr=1), max_lr=1, total_steps=20), PyTorch 2.15.
        let steps = [0, 2, 5, 6, 12, 19];
        assert_near(&factors(Schedule::OneCycle, &steps, 20, None), &ONE_CYCLE);
        // The same scheduler with pct_start=0.5.
        assert_near(
            &factors(Schedule::OneCycle, &steps, 20, Some(0.5)),
            &ONE_CYCLE_HALF,
        );
    }

    #[test]
    fn momentum_cycles_as_in_pytorch() {
        // The betas of OneCycleLR(Adam(lr=1), max_lr=1, total_steps=20): see tests/parity/one_cycle.py.
        let found = |warmup| {
            [0, 2, 5, 6, 12, 19].map(|step| Schedule::OneCycle.momentum(step, 20, warmup).unwrap())
        };
        assert_near(&found(None), &MOMENTUM);
        assert_near(&found(Some(0.5)), &MOMENTUM_HALF);
        assert_eq!(Schedule::Cosine.momentum(3, 20, None), None);
    }

    const MOMENTUM: [f64; 6] = [0.95, 0.915_450_849_7, 0.85, 0.851_253_604_4, 0.9, 0.95];
    const MOMENTUM_HALF: [f64; 6] = [
        0.95,
        0.938_302_222_2,
        0.891_317_591_1,
        0.875,
        0.870_610_737_4,
        0.95,
    ];

    const ONE_CYCLE: [f64; 6] = [
        0.04,
        0.371_671_842_7,
        1.0,
        0.987_464_006_2,
        0.500_002,
        0.000_004,
    ];
    const ONE_CYCLE_HALF: [f64; 6] = [
        0.04,
        0.152_298_667,
        0.603_351_125,
        0.76,
        0.793_893_451,
        4e-06,
    ];

    #[test]
    fn cosine_warms_up_and_falls_to_zero() {
        // With 40 steps, the factor rises for 2 steps and then is (1 + cos(π k / 38)) / 2.
        assert_near(
            &factors(Schedule::Cosine, &[0, 1, 2, 21, 40], 40, None),
            &[0.5, 1.0, 1.0, 0.5, 0.0],
        );
        // Half of the steps are warm-up.
        assert_near(
            &factors(Schedule::Cosine, &[0, 9, 19, 20, 30], 40, Some(0.5)),
            &[0.05, 0.5, 1.0, 1.0, 0.5],
        );
        assert_near(
            &factors(Schedule::Constant, &[0, 39], 40, None),
            &[1.0, 1.0],
        );
        assert_near(
            &factors(Schedule::Constant, &[0, 1, 39], 40, Some(0.05)),
            &[0.5, 1.0, 1.0],
        );
    }

    #[test]
    fn step_falls_after_each_third_and_sweep_rises() {
        assert_near(
            &factors(Schedule::Step, &[0, 9, 10, 19, 20, 29], 30, None),
            &[1.0, 1.0, 0.1, 0.1, 0.01, 0.01],
        );
        let sweep = factors(Schedule::Sweep, &[0, 25, 100], 999, None);
        assert_near(&sweep, &[1.0, 100.0, 1e8]);
    }

    #[test]
    fn all_lists_every_schedule_that_files_may_name_except_the_sweep() {
        let error = serde_json::from_str::<Schedule>("\"?\"").unwrap_err();
        // serde lists all variants in backticks.
        let text = error.to_string();
        let in_files: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
        let names = Schedule::ALL.map(Schedule::name);
        assert_eq!(in_files, [&names[..], &["sweep"]].concat());
        for schedule in Schedule::ALL {
            let written = serde_json::to_value(schedule).unwrap();
            assert_eq!(written, schedule.name());
            assert_eq!(Schedule::find(schedule.name()), Some(schedule));
        }
        assert_eq!(Schedule::find("sweep"), None);
    }

    #[test]
    fn every_schedule_says_in_one_line_what_it_does() {
        let mut texts = Schedule::ALL.map(Schedule::description).to_vec();
        texts.push(Schedule::Sweep.description());
        for (index, text) in texts.iter().enumerate() {
            let words = text.split_whitespace().count();
            assert!(words >= 5 && text.lines().count() == 1, "{text:?}");
            assert!(!texts[..index].contains(text), "{text:?}");
        }
    }

    #[test]
    fn every_schedule_warms_up_for_the_requested_share_and_is_between_0_and_1() {
        for schedule in Schedule::ALL {
            for warmup in [None, Some(0.25), Some(0.5)] {
                let factors: Vec<f64> = (0..100)
                    .map(|step| schedule.factor(step, 100, warmup))
                    .collect();
                let name = schedule.name();
                let within = |factor: &f64| (0.0..=1.0).contains(factor);
                assert!(factors.iter().all(within), "{name}: {factors:?}");
                let share = warmup.unwrap_or(schedule.default_warmup());
                let peak = factors.iter().position(|factor| *factor > 1.0 - 1e-9);
                let wanted = (share * 100.0 - 1.0).max(0.0);
                #[allow(clippy::cast_precision_loss)]
                let peak = peak.map(|peak| peak as f64);
                assert!(
                    peak.is_some_and(|peak| (peak - wanted).abs() < 1.5),
                    "{name}: {peak:?}"
                );
            }
        }
    }
}
