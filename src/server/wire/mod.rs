//! Requests as bytes, checked before they are decoded.
//!
//! - What passes is a message that decodes, and takes no more memory than was computed:
//!   two bytes on the wire can become hundreds in memory.
//! - Fields are known by the descriptors that reflection serves; a new one needs nothing
//!   here.

mod schema;
mod walk;

pub use schema::Schema;
pub use walk::Fault;
pub use walk::check;

#[cfg(test)]
mod tests;
