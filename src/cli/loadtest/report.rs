//! What the load tool prints and writes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::loadtest::measured::Measured;

/// Below this share of the offered rate the server (or the generator) did not keep up.
const KEPT_UP: f64 = 0.98;
/// Above this lag the generator itself was late, and so are the latencies.
const LAG_P99_US_MAX: f64 = 2_000.0;

/// One measured subject under one kind of load.
#[derive(Clone, Debug)]
pub struct Section {
    /// For example `personalize`, `echo`, `ingest`.
    pub subject: &'static str,
    /// The rate that was asked for; `None` in a closed loop.
    pub offered_rate: Option<f64>,
    /// What is counted: `calls` or `events`.
    pub unit: &'static str,
    pub measured: Measured,
}

impl Section {
    /// Warnings about the figures.
    pub fn warnings(&self) -> Vec<String> {
        let measured = &self.measured;
        let mut warnings = Vec::new();
        let Some(offered_rate) = self.offered_rate else {
            return warnings;
        };
        // Against what was due, not the nominal rate: a Poisson schedule has its own number.
        let completed = measured.succeeded + measured.failed();
        let due_per_s = measured.offered as f64 / measured.elapsed.as_secs_f64().max(1e-9);
        let slow = due_per_s < KEPT_UP * offered_rate && measured.elapsed > Duration::from_secs(1);
        if (completed as f64) < KEPT_UP * measured.offered as f64 || slow {
            warnings.push(format!(
                "SATURATED: {offered_rate:.0} {unit}/s were offered, {achieved:.0} {unit}/s done, {unsent} \
                 never sent; the latencies are those of a growing queue",
                unit = self.unit,
                achieved = measured.achieved_rate(),
                unsent = measured.unsent,
            ));
        }
        let lag = measured.lag_us(0.99);
        if lag > LAG_P99_US_MAX {
            warnings.push(format!(
                "the generator started calls late (p99 {}): part of the latency is its own, or the limit of \
                 calls in flight was reached",
                time(lag)
            ));
        }
        warnings
    }

    fn print(&self) {
        let measured = &self.measured;
        let kind = match self.offered_rate {
            Some(rate) => format!("offered {rate:.0} {}/s", self.unit),
            None => "closed loop".to_owned(),
        };
        println!("{} ({kind})", self.subject);
        println!(
            "  achieved  {:.1} {}/s over {:.1} s, {} done, {} failed, {} unsent",
            measured.achieved_rate(),
            self.unit,
            measured.elapsed.as_secs_f64(),
            measured.succeeded,
            measured.failed(),
            measured.unsent,
        );
        println!(
            "  latency   p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
            time(measured.latency_us(0.5)),
            time(measured.latency_us(0.9)),
            time(measured.latency_us(0.99)),
            time(measured.latency_us(0.999)),
            time(measured.latency.max() as f64 / 1e3),
        );
        if self.offered_rate.is_some() {
            println!(
                "  start lag p50 {}  p99 {}",
                time(measured.lag_us(0.5)),
                time(measured.lag_us(0.99))
            );
        }
        if let Some(cpu) = measured.cpu_us_per_call() {
            println!("  server    {} CPU for each of the {}", time(cpu), self.unit);
        }
        for (code, count) in &measured.errors {
            println!("  error     {code}: {count}");
        }
        for warning in self.warnings() {
            println!("  WARNING   {warning}");
        }
    }

    fn json(&self) -> Value {
        json!({
            "subject": self.subject,
            "offered_per_s": self.offered_rate,
            "unit": self.unit,
            "measured": self.measured.json(),
            "warnings": self.warnings(),
        })
    }
}

/// How many times the floor a subject costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratios {
    pub latency_p50: f64,
    pub latency_p99: f64,
    /// If both processes are known.
    pub cpu_per_call: Option<f64>,
    pub rate: f64,
}

impl Ratios {
    /// `subject` over `echo`; `None` when the echo measured nothing.
    pub fn of(subject: &Measured, echo: &Measured) -> Option<Self> {
        if echo.succeeded == 0 || subject.succeeded == 0 {
            return None;
        }
        let cpu = subject.cpu_us_per_call().zip(echo.cpu_us_per_call());
        Some(Self {
            latency_p50: subject.latency_us(0.5) / echo.latency_us(0.5),
            latency_p99: subject.latency_us(0.99) / echo.latency_us(0.99),
            cpu_per_call: cpu.filter(|(_, echo)| *echo > 0.0).map(|(subject, echo)| subject / echo),
            rate: subject.achieved_rate() / echo.achieved_rate(),
        })
    }

    fn print(&self, subject: &str) {
        let cpu = self.cpu_per_call.map_or_else(
            || "unknown (give --server-pid)".to_owned(),
            |ratio| format!("{ratio:.2}x"),
        );
        println!(
            "{subject} against echo: latency p50 {:.2}x, p99 {:.2}x, server CPU {cpu}, rate {:.2}x",
            self.latency_p50, self.latency_p99, self.rate
        );
    }

    fn json(&self) -> Value {
        json!({
            "latency_p50": self.latency_p50,
            "latency_p99": self.latency_p99,
            "cpu_per_call": self.cpu_per_call,
            "rate": self.rate,
        })
    }
}

/// Everything one run found out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub sections: Vec<Section>,
    /// By the name of what was compared.
    pub ratios: Vec<(&'static str, Ratios)>,
    /// The settings of the run, for the file.
    pub settings: Value,
}

impl Report {
    /// Prints all sections, then the ratios.
    pub fn print(&self) {
        for section in &self.sections {
            section.print();
        }
        for (subject, ratios) in &self.ratios {
            ratios.print(subject);
        }
    }

    /// Writes the figures as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        let ratios: Vec<Value> = self
            .ratios
            .iter()
            .map(|(subject, ratios)| json!({ "subject": subject, "over_echo": ratios.json() }))
            .collect();
        let sections: Vec<Value> = self.sections.iter().map(Section::json).collect();
        let report = json!({
            "settings": self.settings,
            "sections": sections,
            "ratios": ratios,
        });
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text + "\n")
            .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        Ok(())
    }
}

/// Microseconds, in the unit that reads best.
fn time(us: f64) -> String {
    if us < 1_000.0 {
        format!("{us:.0} us")
    } else if us < 1_000_000.0 {
        format!("{:.2} ms", us / 1e3)
    } else {
        format!("{:.2} s", us / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(offered: u64, succeeded: u64, elapsed_s: u64) -> Section {
        let mut measured = Measured::new();
        measured.offered = offered;
        measured.unsent = offered - succeeded;
        measured.success(Duration::from_micros(200), succeeded);
        measured.elapsed = Duration::from_secs(elapsed_s);
        Section { subject: "personalize", offered_rate: Some(100.0), unit: "calls", measured }
    }

    #[test]
    fn a_load_that_was_carried_gives_no_warning() {
        assert_eq!(section(1_000, 1_000, 10).warnings(), Vec::<String>::new());
    }

    #[test]
    fn calls_that_were_never_sent_are_saturation() {
        let warnings = section(1_000, 600, 10).warnings();
        assert!(warnings[0].starts_with("SATURATED"), "{warnings:?}");
    }

    #[test]
    fn answers_long_after_the_end_are_saturation() {
        let warnings = section(1_000, 1_000, 20).warnings();
        assert!(warnings[0].starts_with("SATURATED"), "{warnings:?}");
    }

    #[test]
    fn a_late_generator_is_warned_of() {
        let mut section = section(1_000, 1_000, 10);
        section.measured.started(Duration::from_millis(50));
        assert!(section.warnings()[0].contains("generator"));
    }

    #[test]
    fn ratios_need_both_sides_and_both_processes() {
        let subject = section(1_000, 1_000, 10).measured;
        let mut echo = subject.clone();
        assert_eq!(Ratios::of(&subject, &Measured::new()), None);
        echo.cpu = Some(Duration::from_secs(1));
        let ratios = Ratios::of(&subject, &echo).unwrap();
        assert!((ratios.latency_p50 - 1.0).abs() < 1e-9);
        assert_eq!(ratios.cpu_per_call, None);
    }

    #[test]
    fn times_are_printed_in_a_readable_unit() {
        assert_eq!(time(123.4), "123 us");
        assert_eq!(time(12_345.0), "12.35 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
    }
}
