//! Who measures what a training costs: the engine reads no clock, so it says when its parts begin and end.

/// A part of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Trials of factors without what is held out, and the gate.
    Search,
    /// The last epochs of the factors, on everything.
    Factors,
    /// Weights of what is consumed together, for each L2 weight that is tried and on everything.
    Together,
    Sequence,
    Overlap,
    /// The latent space of words and its maps to factors.
    Content,
    /// The state without what is held out.
    Withheld,
    /// Features of the people held out, and the fit of their weights.
    Hybrid,
}

impl Part {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search of factors",
            Self::Factors => "factors of everything",
            Self::Together => "item_item",
            Self::Sequence => "sequence",
            Self::Overlap => "overlap",
            Self::Content => "content",
            Self::Withheld => "taking back what is held out",
            Self::Hybrid => "fit of the hybrid",
        }
    }
}

/// Hears when a part begins and ends, on the thread that runs it. A part may come several times, and with more
/// than one thread several at once.
pub trait Watch: Sync {
    fn begins(&self, part: Part);
    fn ends(&self, part: Part);
}

/// Nobody measures.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begins(&self, _part: Part) {}
    fn ends(&self, _part: Part) {}
}

/// Runs a part.
pub fn watched<T>(watch: &dyn Watch, part: Part, run: impl FnOnce() -> T) -> T {
    watch.begins(part);
    let done = run();
    watch.ends(part);
    done
}
