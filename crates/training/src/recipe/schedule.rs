//! How the learning rate changes over a run.

use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Up along a line for the first 5 % of the steps, then down along half a cosine to 0
    /// (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    Cosine,
    /// PyTorch's `OneCycleLR` (Smith and Topin 2018): up along half a cosine from 1/25 for the
    /// first 30 % of the steps, then down along half a cosine to 1/250000.
    OneCycle,
    /// To a tenth after a third of the steps, to a hundredth after two thirds: as ImageNet's
    /// recipe of 90 epochs (He et al. 2016).
    Step,
    /// Up by the same ratio at each step, a hundred million times in 100 steps: for a learning
    /// rate range test.
    Sweep,
}

impl Schedule {
    /// Factor of the learning rate at `step` (0 is the first) of `total`.
    ///
    /// `warmup` is the share of the steps over which the rate rises at first; `None` is the
    /// schedule's own. But for [`OneCycle`](Self::OneCycle), it rises along a line.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(self, step: usize, total: usize, warmup: Option<f64>) -> f64 {
        let (step, total) = (step as f64, total as f64);
        let share = warmup.unwrap_or(match self {
            Self::Cosine => 0.05,
            Self::OneCycle => 0.3,
            Self::Constant | Self::Step | Self::Sweep => 0.0,
        });
        if self == Self::OneCycle {
            return one_cycle(step, total, share);
        }
        let warm = (share * total).ceil();
        if step < warm {
            return (step + 1.0) / warm;
        }
        let done = (step - warm) / (total - warm).max(1.0);
        match self {
            Self::Constant | Self::OneCycle => 1.0,
            Self::Cosine => between(1.0, 0.0, done),
            Self::Step if done < 1.0 / 3.0 => 1.0,
            Self::Step if done < 2.0 / 3.0 => 0.1,
            Self::Step => 0.01,
            Self::Sweep => 1e8_f64.powf(step / 100.0),
        }
    }
}

/// As PyTorch: the phases end at `share · total - 1` and `total - 1`.
fn one_cycle(step: f64, total: f64, share: f64) -> f64 {
    let (peak, last) = (share * total - 1.0, total - 1.0);
    if step <= peak && peak > 0.0 {
        between(1.0 / 25.0, 1.0, step / peak)
    } else {
        between(
            1.0,
            1.0 / 25.0 / 1e4,
            (step - peak) / (last - peak).max(1.0),
        )
    }
}

/// Half a cosine from one value to another.
fn between(from: f64, to: f64, share: f64) -> f64 {
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
    fn one_cycle_is_pytorchs() {
        // torch.optim.lr_scheduler.OneCycleLR(SGD(lr=1), max_lr=1, total_steps=20), PyTorch 2.15.
        let steps = [0, 2, 5, 6, 12, 19];
        assert_near(&factors(Schedule::OneCycle, &steps, 20, None), &ONE_CYCLE);
        // The same with pct_start=0.5.
        assert_near(
            &factors(Schedule::OneCycle, &steps, 20, Some(0.5)),
            &ONE_CYCLE_HALF,
        );
    }

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
        // 40 steps: 2 of warm-up, then (1 + cos(π k / 38)) / 2.
        assert_near(
            &factors(Schedule::Cosine, &[0, 1, 2, 21, 40], 40, None),
            &[0.5, 1.0, 1.0, 0.5, 0.0],
        );
        // Half of them warm-up.
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
    fn steps_fall_by_thirds_and_a_sweep_rises() {
        assert_near(
            &factors(Schedule::Step, &[0, 9, 10, 19, 20, 29], 30, None),
            &[1.0, 1.0, 0.1, 0.1, 0.01, 0.01],
        );
        let sweep = factors(Schedule::Sweep, &[0, 25, 100], 999, None);
        assert_near(&sweep, &[1.0, 100.0, 1e8]);
    }
}
