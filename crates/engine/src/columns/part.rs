//! A part of the state: it has a digest, and it is sections of a snapshot.

/// BLAKE3 hash of a part of the state.
pub type Digest = [u8; 32];

/// Encoded sections, made one at a time.
pub type Sections<'a> = Box<dyn Iterator<Item = Vec<u8>> + 'a>;

/// A part of the state.
pub trait Part {
    /// How many values it has.
    fn len(&self) -> usize;

    fn digest(&self) -> Digest;

    /// In the order in which they are read back; none where there is nothing.
    fn sections(&self) -> Sections<'_>;

    /// Takes in the next section of a part that was empty at first.
    ///
    /// # Errors
    /// When it is no section of such a part.
    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error>;
}
