//! Field offsets of a tracepoint, from its `format` file in tracefs: the description the kernel itself gives, which differs
//! between versions.

/// One field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, without the brackets of an array.
    pub name: String,
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// The fields in a `format` file; lines of another form are ignored.
pub fn parse(text: &str) -> Vec<Field> {
    text.lines().filter_map(field).collect()
}

/// Offset of the field called `name`, if it has the size that the eBPF program reads.
pub fn offset(fields: &[Field], name: &str, size: u32) -> Option<u32> {
    let field = fields.iter().find(|field| field.name == name)?;
    (field.size == size).then_some(field.offset)
}

/// A line such as `field:unsigned long anon_rss; offset:24; size:8; signed:0;`, tabs between the parts.
fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let name = declaration.rsplit([' ', '*']).next()?.split('[').next()?;
    let mut number = |key: &str| {
        let value = parts.next()?.strip_prefix(key)?;
        value.parse().ok()
    };
    Some(Field {
        name: name.to_owned(),
        offset: number("offset:")?,
        size: number("size:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK_VICTIM: &str = "name: mark_victim
ID: 409
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int pid;	offset:8;	size:4;	signed:1;
	field:__data_loc char[] comm;	offset:12;	size:4;	signed:0;
	field:unsigned long total_vm;	offset:16;	size:8;	signed:0;
	field:char name[16];	offset:24;	size:16;	signed:0;
	field:short oom_score_adj;	offset:64;	size:2;	signed:1;

print fmt: \"pid=%d\", REC->pid
";

    #[test]
    fn offsets_are_those_of_the_file() {
        let fields = parse(MARK_VICTIM);
        for (name, size, expected) in [
            ("pid", 4, Some(8)),
            ("comm", 4, Some(12)),
            ("total_vm", 8, Some(16)),
            ("name", 16, Some(24)),
            ("oom_score_adj", 2, Some(64)),
            ("oom_score_adj", 4, None),
            ("anon_rss", 8, None),
        ] {
            assert_eq!(offset(&fields, name, size), expected, "{name} of {size} bytes");
        }
    }

    #[test]
    fn other_text_is_no_field() {
        for text in [
            "",
            "field:",
            "field:int pid;",
            "\tfield:int pid;\toffset:x;\tsize:4;",
            "print fmt: \"\"",
        ] {
            assert_eq!(parse(text), Vec::new(), "{text:?}");
        }
    }
}
