//! Medians, percentiles, and the tables that are printed.

use std::fmt::Write as _;
use std::time::Duration;

/// Whether less or more is better, and the goal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The figure is to be at most this.
    AtMost(f64),
    /// The figure is to be at least this.
    AtLeast(f64),
    /// The figure is to be at most so many times the baseline's.
    TimesAtMost(f64),
    /// The figure is to be at least so many times the baseline's.
    TimesAtLeast(f64),
    /// Shown for comparison only.
    None,
}

/// One line of the result.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The unit of both figures.
    pub(crate) unit: &'static str,
    /// What was reached, one figure per round.
    pub(crate) ours: Vec<f64>,
    /// The baseline's figures, one per round; empty where there is none.
    pub(crate) baseline: Vec<f64>,
    /// What the baseline is.
    pub(crate) against: &'static str,
    /// What is to be reached.
    pub(crate) goal: Goal,
}

impl Row {
    /// How many times the baseline's figure ours is: the median over pairs of rounds, which drifts of the
    /// machine meet alike; without pairs the ratio of the medians. Not a number without a baseline.
    pub(crate) fn ratio(&self) -> f64 {
        if self.ours.len() != self.baseline.len() {
            return median(&self.ours) / median(&self.baseline);
        }
        let ratios: Vec<f64> =
            self.ours.iter().zip(&self.baseline).map(|(ours, theirs)| ours / theirs).collect();
        median(&ratios)
    }
}

/// The middle of the figures; the mean of the two middle ones of an even number.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The value that `share` (0 … 1) of the figures do not exceed (nearest rank).
pub(crate) fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

/// Milliseconds as a number.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Goal {
    fn tell(self, figure: f64, ratio: f64) -> String {
        let (text, reached) = match self {
            Self::AtMost(limit) => (format!("≤ {}", number(limit)), figure <= limit),
            Self::AtLeast(limit) => (format!("≥ {}", number(limit)), figure >= limit),
            Self::TimesAtMost(limit) => (format!("≤ {}×", number(limit)), ratio <= limit),
            Self::TimesAtLeast(limit) => (format!("≥ {}×", number(limit)), ratio >= limit),
            Self::None => return String::new(),
        };
        format!("{text} {}", if reached { "reached" } else { "MISSED" })
    }
}

/// Three significant digits, thousands as k.
fn number(figure: f64) -> String {
    match figure.abs() {
        a if a >= 100_000.0 => format!("{:.0}k", figure / 1e3),
        a if a >= 1_000.0 => format!("{:.1}k", figure / 1e3),
        a if a >= 100.0 => format!("{figure:.0}"),
        a if a >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// Median and, where there were several rounds, the lowest and highest.
fn spread(figures: &[f64]) -> String {
    match figures {
        [] => "-".into(),
        [one] => number(*one),
        _ => {
            let (low, high) = (percentile(figures, 0.0), percentile(figures, 1.0));
            format!("{} ({}…{})", number(median(figures)), number(low), number(high))
        }
    }
}

/// The table of all rows, in Markdown. `ours` says what was measured.
pub(crate) fn table(rows: &[Row], ours: &str) -> String {
    let ratio_of = format!("{ours} / baseline");
    let mut cells =
        vec![["measure", "unit", ours, "baseline", &ratio_of, "goal", "baseline is"].map(String::from)];
    for row in rows {
        let ratio = row.ratio();
        cells.push([
            row.what.clone(),
            row.unit.into(),
            spread(&row.ours),
            spread(&row.baseline),
            if ratio.is_finite() { number(ratio) } else { "-".into() },
            row.goal.tell(median(&row.ours), ratio),
            row.against.into(),
        ]);
    }
    render(&cells)
}

fn render(cells: &[[String; 7]]) -> String {
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = String::new();
    for (index, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if index == 0 {
            widths.iter().for_each(|width| {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            });
            out.push_str("|\n");
        }
    }
    out
}
