//! Flags and environment variables of what may be released about users.

use clap::Args;

use engine::domain::out_of_range;

/// The privacy budget of each namespace.
#[derive(Debug, Clone, Args)]
pub struct PrivacyConfig {
    /// Epsilon that all answers of QueryAggregates of a period guarantee together; 0: there are
    /// none (0 to 1000)
    #[arg(long, env = "PRIVACY_EPSILON", default_value_t = 1.0,
          value_parser = number(0.0, 1e3))]
    pub privacy_epsilon: f64,

    /// Delta that goes with PRIVACY_EPSILON; far less than one by the number of users
    /// (1e-15 to 0.01)
    #[arg(long, env = "PRIVACY_DELTA", default_value_t = 1e-6,
          value_parser = number(1e-15, 0.01))]
    pub privacy_delta: f64,

    /// Days after which the budget is there again; periods are counted from 1970-01-01 (1 to
    /// 3650)
    #[arg(long, env = "PRIVACY_PERIOD_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub privacy_period_days: u32,
}

fn number(min: f64, max: f64) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync {
    move |text| {
        let value = text.parse().map_err(|_not_a_number| "is not a number".to_owned())?;
        // Written so that NaN fails, too.
        if (min..=max).contains(&value) { Ok(value) } else { Err(out_of_range(value, min, max)) }
    }
}
