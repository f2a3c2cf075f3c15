//! A user who asked to be forgotten: out of what is served, at once.
//!
//! - What is known of the user goes: history, profile, rules, attributes, impressions, aliases. Nothing
//!   finds the user's decisions any more, so nothing is rewarded and nothing counts as shown.
//! - What all users share still knows what it has learnt of the user. It forgets that when the log is
//!   rewritten and the state is built from it again.

use crate::Engine;
use crate::columns::aliases::UserKey;

impl Engine {
    pub(super) fn erase_user(&mut self, user_id: &str) {
        let key = self.view.user_key(user_id);
        let user: Box<str> = self.view.aliases().resolve(user_id).into();
        let _forgotten = self.take_user(&user, key);
        self.view.move_decisions(key, UserKey::NOBODY);
        self.view.users.forget_aliases(&user);
    }
}
