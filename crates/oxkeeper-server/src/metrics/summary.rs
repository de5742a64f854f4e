//! Minimum, average, maximum, count and sum of a figure, and an estimate of its quantiles from buckets that grow by an
//! eighth. One thread writes, any may read; a reader may see a sum that a count has not followed yet.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets below 8 are exact; from there each power of two has 8.
const BUCKETS: usize = 8 + 8 * 40;

pub struct Summary {
    count: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

/// A reader's copy; several can be merged.
#[derive(Clone, PartialEq, Debug)]
pub struct SummaryView {
    pub count: u64,
    pub sum: u64,
    /// 0 when nothing was counted.
    pub min: u64,
    pub max: u64,
    buckets: Vec<u64>,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let view = self.view();
        write!(f, "Summary {{ count: {}, sum: {}, min: {}, max: {} }}", view.count, view.sum, view.min, view.max)
    }
}

fn bucket(value: u64) -> usize {
    if value < 8 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    let eighth = (value >> (power - 3)) as usize & 7;
    (8 + (power - 3) * 8 + eighth).min(BUCKETS - 1)
}

/// The smallest value of a bucket.
fn bucket_floor(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (power, eighth) = ((bucket - 8) / 8 + 3, (bucket - 8) % 8);
    (8 + eighth as u64) << (power - 3)
}

impl Summary {
    /// Counts one value. Only one thread may call it.
    pub fn add(&self, value: u64) {
        self.add_many(value, 1);
    }

    /// Counts one value several times. Only one thread may call it.
    pub fn add_many(&self, value: u64, times: u64) {
        let bump = |figure: &AtomicU64, by: u64| figure.store(figure.load(Relaxed).wrapping_add(by), Relaxed);
        bump(&self.count, times);
        bump(&self.sum, value.wrapping_mul(times));
        bump(&self.buckets[bucket(value)], times);
        if value < self.min.load(Relaxed) {
            self.min.store(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.store(value, Relaxed);
        }
    }

    pub fn reset(&self) {
        for figure in [&self.count, &self.sum, &self.max].into_iter().chain(self.buckets.iter()) {
            figure.store(0, Relaxed);
        }
        self.min.store(u64::MAX, Relaxed);
    }

    pub fn view(&self) -> SummaryView {
        let count = self.count.load(Relaxed);
        SummaryView {
            count,
            sum: self.sum.load(Relaxed),
            min: if count == 0 { 0 } else { self.min.load(Relaxed) },
            max: self.max.load(Relaxed),
            buckets: self.buckets.iter().map(|b| b.load(Relaxed)).collect(),
        }
    }
}

impl SummaryView {
    pub fn empty() -> SummaryView {
        SummaryView { count: 0, sum: 0, min: 0, max: 0, buckets: vec![0; BUCKETS] }
    }

    pub fn merge(mut self, other: &SummaryView) -> SummaryView {
        self.min = match (self.count, other.count) {
            (0, _) => other.min,
            (_, 0) => self.min,
            _ => self.min.min(other.min),
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self
    }

    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The value below which this part of all values lie, to an eighth.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return bucket_floor(bucket).clamp(self.min, self.max);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_an_eighth_wide() {
        for value in (0..10_000u64).chain([1 << 20, (1 << 30) + 12_345]) {
            let floor = bucket_floor(bucket(value));
            assert!(floor <= value && value - floor <= value / 8, "{value} in the bucket from {floor}");
        }
    }

    #[test]
    fn a_summary_knows_its_extremes_and_quantiles() {
        let summary = Summary::default();
        (1..=100).for_each(|v| summary.add(v));
        let view = summary.view();
        assert_eq!((view.count, view.sum, view.min, view.max), (100, 5050, 1, 100));
        assert_eq!(view.average(), 50.5);
        assert!((44..=50).contains(&view.quantile(0.5)), "{}", view.quantile(0.5));
        summary.reset();
        assert_eq!(summary.view(), SummaryView::empty());
    }

    #[test]
    fn merging_keeps_the_extremes() {
        let (a, b) = (Summary::default(), Summary::default());
        a.add(5);
        b.add(500);
        let merged = a.view().merge(&b.view()).merge(&SummaryView::empty());
        assert_eq!((merged.count, merged.min, merged.max), (2, 5, 500));
    }
}
