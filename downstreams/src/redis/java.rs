//! Java's serialization, as far as it takes to read who is signed in; pure.

use super::stream::{MAGIC, read, tag};

/// Text that was serialized by itself, as Spring Session does with session ids.
pub(super) fn text(stream: &[u8]) -> Option<String> {
    let (heap, root) = read(stream)?;
    heap.text(root).map(str::to_owned)
}

/// How Spring Session writes a session id into its index.
pub(super) fn of_text(ascii: &str) -> Option<Vec<u8>> {
    let length = u16::try_from(ascii.len()).ok().filter(|_| ascii.is_ascii())?;
    Some([MAGIC, &[tag::STRING], &length.to_be_bytes(), ascii.as_bytes()].concat())
}

/// The user of a `SecurityContext` of Spring Security: `authentication.principal`, which is text or an object with a
/// field `username`, as `UserDetails` have it. `None` for any other, and for what is no such stream.
pub(super) fn principal(context: &[u8]) -> Option<String> {
    let (heap, root) = read(context)?;
    let principal = heap.field(heap.field(root, "authentication"), "principal");
    heap.text(principal).or_else(|| heap.text(heap.field(principal, "username"))).map(str::to_owned)
}
