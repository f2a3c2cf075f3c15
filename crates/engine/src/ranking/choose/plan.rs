//! Looking ahead under absolute caps: a choice leaves enough for the rest of the list.
//!
//! - A plan is a set of members that together keep the caps and fill the list, or as much of it as
//!   can be filled ([`crate::numeric::packing`]). A member may take the next position if the plan can
//!   spare what it blocks. So the list becomes as long as the plan, whatever is drawn.
//! - Pins further down have their space from the start: nothing above them takes it.
//! - The plan depends on what was taken before, on no draw: propensities stay exact.
//!
//! Cost: where the plan has members to spare, a look at the labels of a member.

#[derive(Debug)]
pub struct Plan {
    /// By member: its labels.
    labels: Vec<Vec<u32>>,
    /// Space of each label besides the list, the plan and the pins. A label in one numbering with
    /// others ([`crate::numeric::packing`]).
    left: Vec<u32>,
    is_planned: Vec<bool>,
    /// Planned members by label.
    with: Vec<Vec<usize>>,
    planned: usize,
    /// Positions that are still to be filled.
    positions: usize,
}

impl Plan {
    /// `labels`: of each member. `space`: of each label in all. `positions`: of the list, as far as
    /// it can be filled.
    pub fn new(
        labels: Vec<Vec<u32>>,
        space: Vec<u32>,
        planned: impl Iterator<Item = usize>,
        positions: usize,
    ) -> Self {
        let (labels_len, members) = (space.len(), labels.len());
        let mut plan = Self {
            labels,
            left: space,
            is_planned: vec![false; members],
            with: vec![Vec::new(); labels_len],
            planned: 0,
            positions,
        };
        planned.for_each(|member| plan.add(member));
        plan.positions = positions.min(plan.planned);
        plan
    }

    /// Whether the rest of the list can be filled, and the caps be kept with all pins, after a
    /// member has taken the next position.
    pub fn allows(&self, member: usize) -> bool {
        if self.is_planned[member] {
            return true;
        }
        if self.full(member).any(|label| self.with[label as usize].is_empty()) {
            return false;
        }
        // One of the planned members does not come anyway.
        let spare = (self.planned + 1).saturating_sub(self.positions);
        self.full(member).count() <= spare || self.leaving(member).len() <= spare
    }

    /// A member of the pool took a position. `open`: the members that are left.
    pub fn take(&mut self, member: usize, open: &[usize]) {
        self.positions = self.positions.saturating_sub(1);
        if self.is_planned[member] {
            // The list takes over its space.
            self.remove(member);
            self.spend(member);
            return;
        }
        let leaving = self.leaving(member);
        leaving.iter().for_each(|&one| self.remove(one));
        self.spend(member);
        if !leaving.is_empty() {
            for &other in open {
                let fits = |label: &u32| self.left[*label as usize] > 0;
                if !self.is_planned[other] && self.labels[other].iter().all(fits) {
                    self.add(other);
                }
            }
        }
    }

    /// The labels of a member without space: planned members have it, or the list and pins have
    /// all of it.
    fn full(&self, member: usize) -> impl Iterator<Item = u32> {
        let is_full = |label: &u32| self.left[*label as usize] == 0;
        self.labels[member].iter().copied().filter(is_full)
    }

    /// Planned members that leave to make space for a member that the plan allows, few of them.
    fn leaving(&self, member: usize) -> Vec<usize> {
        let mut blocked: Vec<u32> = self.full(member).collect();
        let mut leaving = Vec::new();
        while let Some(&first) = blocked.first() {
            let freed = |one: &usize| {
                blocked.iter().filter(|label| self.labels[*one].contains(label)).count()
            };
            let with = self.with[first as usize].iter().copied();
            let most = with.max_by_key(freed).expect("planned members have the space");
            blocked.retain(|label| !self.labels[most].contains(label));
            leaving.push(most);
        }
        leaving
    }

    fn add(&mut self, member: usize) {
        self.is_planned[member] = true;
        self.planned += 1;
        self.spend(member);
        for &label in &self.labels[member] {
            self.with[label as usize].push(member);
        }
    }

    fn remove(&mut self, member: usize) {
        self.is_planned[member] = false;
        self.planned -= 1;
        for &label in &self.labels[member] {
            self.left[label as usize] += 1;
            self.with[label as usize].retain(|&one| one != member);
        }
    }

    fn spend(&mut self, member: usize) {
        for &label in &self.labels[member] {
            let left = &mut self.left[label as usize];
            *left = left.saturating_sub(1);
        }
    }
}
