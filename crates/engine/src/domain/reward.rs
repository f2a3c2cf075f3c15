//! What an interaction earns the decision that showed its item.

/// The reward of an interaction of this confidence, -1 to 1.
pub fn reward(confidence: f32) -> f32 {
    confidence.clamp(-1.0, 1.0)
}

/// Whether a reward replaces an earlier one of the same shown item: the best
/// counts, and a negative one outweighs what came before it.
pub fn outweighs(reward: f32, earlier: f32) -> bool {
    reward < 0.0 || reward > earlier
}
