//! What breaks the contract is refused by field, and costs the server nothing.

mod elements;
mod garbage;
mod requests;
