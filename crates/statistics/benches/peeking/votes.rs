//! Counts that are watched at every step: the sample ratio, the votes of interleaving.

use statistics::Level;
use statistics::interleaving::{self, Votes, Winner};
use statistics::sample_ratio::{SampleRatio, Watch};

use crate::draws::Draws;

/// Users between two looks at the sample ratio.
const USERS_PER_LOOK: u64 = 100;
const LOOKS: u64 = 1_000;
const VOTES: u64 = 5_000;

/// Whether the sample ratio ever raises an alarm.
pub fn ratio_alarm(planned: f64, share: f64, mut draws: Draws) -> bool {
    let ratio = SampleRatio::new(&[planned, 1.0 - planned], Level::ONE_PER_MILLE)
        .expect("a valid parameter");
    let (mut watch, mut counts) = (Watch::default(), [0, 0]);
    (0..LOOKS).any(|_| {
        let first = draws.successes(USERS_PER_LOOK, share);
        counts = [counts[0] + first, counts[1] + USERS_PER_LOOK - first];
        ratio.look(&counts, &mut watch).alarm
    })
}

/// Whether a preference is ever shown, looked at after every vote.
pub fn votes_decide(share_of_a: f64, mut draws: Draws) -> bool {
    let mut votes = Votes::default();
    (0..VOTES).any(|_| {
        votes.add(if draws.happens(share_of_a) { Winner::A } else { Winner::B });
        interleaving::ln_e_value(&votes, Level::FIVE_PERCENT, VOTES)
            >= Level::FIVE_PERCENT.evidence()
    })
}
