//! A walk along a stream of Java's `ObjectOutputStream`; pure.
//!
//! Nothing is instantiated: the stream is walked by its own class descriptions, and what is not text or an object with
//! fields is passed over. Its grammar: Java Object Serialization Specification, chapter 6.

use std::rc::Rc;

/// What every stream begins with.
pub(super) const MAGIC: &[u8] = &[0xac, 0xed, 0x00, 0x05];
/// The first handle of a stream (`baseWireHandle`).
const FIRST_HANDLE: u32 = 0x7e_0000;
/// Objects within objects. A stream is not ours, and must not decide how deep our stack is.
const DEPTH: u32 = 100;

pub(super) mod tag {
    pub const NULL: u8 = 0x70;
    pub const REFERENCE: u8 = 0x71;
    pub const CLASS_DESCRIPTION: u8 = 0x72;
    pub const OBJECT: u8 = 0x73;
    pub const STRING: u8 = 0x74;
    pub const ARRAY: u8 = 0x75;
    pub const CLASS: u8 = 0x76;
    pub const BLOCK: u8 = 0x77;
    pub const END: u8 = 0x78;
    pub const LONG_BLOCK: u8 = 0x7a;
    pub const LONG_STRING: u8 = 0x7c;
    pub const PROXY_CLASS: u8 = 0x7d;
    pub const ENUM: u8 = 0x7e;
}

mod flag {
    pub const WRITE_METHOD: u8 = 0x01;
    pub const SERIALIZABLE: u8 = 0x02;
    pub const EXTERNALIZABLE: u8 = 0x04;
    pub const BLOCK_DATA: u8 = 0x08;
}

/// The place of something in the heap; `None` is null.
pub(super) type Reference = Option<usize>;

/// Everything in a stream that has a handle, by handle.
pub(super) struct Heap(Vec<Thing>);

enum Thing {
    Text(String),
    Class(Rc<Class>),
    /// Its fields that are references; those of the subclass last.
    Object(Vec<(Rc<str>, Reference)>),
    Other,
}

struct Class {
    name: String,
    flags: u8,
    /// Type code and name.
    fields: Vec<(u8, Rc<str>)>,
    parent: Option<Rc<Class>>,
}

impl Heap {
    pub(super) fn text(&self, at: Reference) -> Option<&str> {
        if let Thing::Text(text) = &self.0[at?] { Some(text) } else { None }
    }

    /// What a field of an object refers to.
    pub(super) fn field(&self, at: Reference, name: &str) -> Reference {
        let Thing::Object(fields) = &self.0[at?] else { return None };
        fields.iter().rev().find(|(field, _)| **field == *name)?.1
    }
}

/// Everything in a stream, and its first object.
pub(super) fn read(stream: &[u8]) -> Option<(Heap, Reference)> {
    let mut reader = Reader { left: stream.strip_prefix(MAGIC)?, heap: Heap(Vec::new()), depth: 0 };
    let tag = reader.byte()?;
    let root = reader.content(tag)?;
    Some((reader.heap, root))
}

struct Reader<'a> {
    left: &'a [u8],
    heap: Heap,
    depth: u32,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short_text(&mut self) -> Option<String> {
        let length = self.u16()?;
        modified_utf8(self.take(length.into())?)
    }

    fn keep(&mut self, thing: Thing) -> usize {
        self.heap.0.push(thing);
        self.heap.0.len() - 1
    }

    /// What follows `tag`: an object, or null.
    fn content(&mut self, tag: u8) -> Option<Reference> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let content = match tag {
            tag::NULL => None,
            tag::REFERENCE => {
                let at = usize::try_from(self.u32()?.checked_sub(FIRST_HANDLE)?).ok()?;
                self.heap.0.get(at)?;
                Some(at)
            }
            tag::STRING => {
                let text = self.short_text()?;
                Some(self.keep(Thing::Text(text)))
            }
            tag::LONG_STRING => {
                let length = usize::try_from(u64::from_be_bytes(self.take(8)?.try_into().ok()?)).ok()?;
                let text = modified_utf8(self.take(length)?)?;
                Some(self.keep(Thing::Text(text)))
            }
            tag::OBJECT => Some(self.object()?),
            tag::ARRAY => Some(self.array()?),
            tag::CLASS => {
                self.class()?;
                Some(self.keep(Thing::Other))
            }
            tag::ENUM => {
                self.class()?;
                let at = self.keep(Thing::Other);
                self.next()?;
                Some(at)
            }
            tag::CLASS_DESCRIPTION | tag::PROXY_CLASS => {
                self.describe(tag)?;
                None
            }
            _ => return None,
        };
        self.depth -= 1;
        Some(content)
    }

    fn next(&mut self) -> Option<Reference> {
        let tag = self.byte()?;
        self.content(tag)
    }

    /// Objects and raw bytes of a class's own making, up to the mark that ends them.
    fn annotation(&mut self) -> Option<()> {
        loop {
            match self.byte()? {
                tag::END => return Some(()),
                tag::BLOCK => {
                    let length = self.byte()?;
                    self.take(length.into())?;
                }
                tag::LONG_BLOCK => {
                    let length = self.u32()?;
                    self.take(usize::try_from(length).ok()?)?;
                }
                tag => {
                    self.content(tag)?;
                }
            }
        }
    }

    /// A description, a reference to one, or null.
    fn class(&mut self) -> Option<Option<Rc<Class>>> {
        match self.byte()? {
            tag::NULL => Some(None),
            tag @ tag::REFERENCE => {
                let at = self.content(tag)??;
                if let Thing::Class(class) = &self.heap.0[at] { Some(Some(class.clone())) } else { None }
            }
            tag => self.describe(tag).map(Some),
        }
    }

    fn describe(&mut self, tag: u8) -> Option<Rc<Class>> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let mut class = Class { name: String::new(), flags: flag::SERIALIZABLE, fields: Vec::new(), parent: None };
        let at;
        if tag == tag::CLASS_DESCRIPTION {
            class.name = self.short_text()?;
            self.take(8)?;
            at = self.keep(Thing::Other);
            class.flags = self.byte()?;
            for _ in 0..self.u16()? {
                let code = self.byte()?;
                let name = self.short_text()?.into();
                if matches!(code, b'L' | b'[') {
                    self.next()?;
                }
                class.fields.push((code, name));
            }
        } else if tag == tag::PROXY_CLASS {
            at = self.keep(Thing::Other);
            for _ in 0..self.u32()? {
                self.short_text()?;
            }
        } else {
            return None;
        }
        self.annotation()?;
        class.parent = self.class()?;
        let class = Rc::new(class);
        self.heap.0[at] = Thing::Class(class.clone());
        self.depth -= 1;
        Some(class)
    }

    fn object(&mut self) -> Option<usize> {
        let mut next = self.class()?;
        let at = self.keep(Thing::Other);
        let mut line = Vec::new();
        while let Some(class) = next {
            next = class.parent.clone();
            line.push(class);
        }
        let mut values = Vec::new();
        for class in line.iter().rev() {
            if class.flags & flag::SERIALIZABLE != 0 {
                for (code, name) in &class.fields {
                    if let Some(reference) = self.value(*code)? {
                        values.push((name.clone(), reference));
                    }
                }
                if class.flags & flag::WRITE_METHOD != 0 {
                    self.annotation()?;
                }
            } else if class.flags & flag::EXTERNALIZABLE != 0 {
                // Without block data only the class itself knows where its bytes end.
                if class.flags & flag::BLOCK_DATA == 0 {
                    return None;
                }
                self.annotation()?;
            }
        }
        self.heap.0[at] = Thing::Object(values);
        Some(at)
    }

    fn array(&mut self) -> Option<usize> {
        let class = self.class()??;
        let code = *class.name.as_bytes().get(1)?;
        let at = self.keep(Thing::Other);
        for _ in 0..self.u32()? {
            self.value(code)?;
        }
        Some(at)
    }

    /// A value of the type that `code` names; `Some(None)` if it is no reference.
    fn value(&mut self, code: u8) -> Option<Option<Reference>> {
        let width = match code {
            b'L' | b'[' => return self.next().map(Some),
            b'B' | b'Z' => 1,
            b'C' | b'S' => 2,
            b'F' | b'I' => 4,
            b'D' | b'J' => 8,
            _ => return None,
        };
        self.take(width)?;
        Some(None)
    }
}

/// UTF-8, but with NUL in two bytes and each surrogate encoded by itself (`java.io.DataInput`).
fn modified_utf8(bytes: &[u8]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().map(|byte| u16::from(*byte));
    let more = |bytes: &mut dyn Iterator<Item = u16>| bytes.next().filter(|byte| byte & 0xc0 == 0x80);
    while let Some(first) = bytes.next() {
        units.push(match first {
            0x00..=0x7f => first,
            0xc0..=0xdf => (first & 0x1f) << 6 | more(&mut bytes)? & 0x3f,
            0xe0..=0xef => (first & 0x0f) << 12 | (more(&mut bytes)? & 0x3f) << 6 | more(&mut bytes)? & 0x3f,
            _ => return None,
        });
    }
    String::from_utf16(&units).ok()
}
