//! Texts that the input functions of PostgreSQL's built-in types accept, and guesses for other types.

/// Texts that common patterns accept.
pub(super) const SHAPED: &[&str] = &[
    "12345",
    "123456789",
    "123-45-6789",
    "AB",
    "ABC",
    "AB12",
    "AB-123",
    "a@b.cc",
    "https://a.bc/d",
    "+491234567",
    "a-b_c",
    "2024-01-02",
    "DE89370400440532013000",
    "#00ff00",
];

/// Each type and the values at its edges.
const EDGES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("int2", &["0", "1", "-1", "2", "7", "32767", "-32768"]),
    ("int4", &["0", "1", "-1", "2", "7", "32767", "2147483647"]),
    ("int8", &["0", "1", "-1", "2", "7", "32767", "9007199254740993"]),
    ("numeric", &["0", "1", "-1", "0.01", "0.5", "9.99", "12345678901234567890.5"]),
    // No large negative number: its sum with a large positive one depends on the order of the rows.
    ("float4", &["0", "1", "-1", "0.1", "1e-9", "1e17"]),
    ("float8", &["0", "1", "-1", "0.1", "1e-9", "1e17"]),
    ("money", &["0", "1", "-0.01", "1234.56"]),
    (
        "text",
        &[
            "",
            " ",
            "a",
            "A",
            "ä",
            "it's",
            "0",
            "null",
            "x\\y",
            "a long text, longer than most that a column holds",
        ],
    ),
    ("name", &["", "a", "A", "it's", "with \"quotes\""]),
    ("char", &["a", "A", "z", "0", " ", "\\200"]),
    ("bytea", &["\\x", "\\x00ff", "\\x5c27"]),
    ("date", &["1970-01-01", "2000-02-29", "1995-03-15", "9999-12-31", "0044-03-15 BC"]),
    ("time", &["00:00:00", "12:34:56.000001", "23:59:59.999999", "24:00:00"]),
    ("timetz", &["00:00:00+00", "12:34:56-08", "23:59:59.999999+15:59"]),
    ("timestamp", &["1970-01-01 00:00:00", "1995-03-15 12:00:00", "2000-02-29 23:59:59.999999"]),
    ("timestamptz", &["1970-01-01 00:00:00+00", "1995-03-15 12:00:00+02", "2000-02-29 23:59:59.999999-08"]),
    (
        "interval",
        &[
            "00:00:00",
            "1 day",
            "1 mon -1 days",
            "-00:00:00.000001",
            "1 year 2 mons -3 days 04:05:06.7",
            "30 days",
            "1 mon",
        ],
    ),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("json", &["{}", "[]", "null", "1", "{\"a\": 1}", "{\"a\": null}"]),
    ("jsonpath", &["$", "$.a", "strict $[*]", "$.a ? (@ > 1)"]),
    ("xml", &["", "<a/>", "<a>1 &amp; 2</a>", "only text"]),
    ("inet", &["0.0.0.0/0", "10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32"]),
    ("cidr", &["0.0.0.0/0", "10.0.0.0/8", "192.168.1.0/24", "2001:db8::/32"]),
    ("macaddr", &["00:00:00:00:00:00", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"]),
    ("macaddr8", &["00:00:00:00:00:00:00:00", "08:00:2b:01:02:03:04:05"]),
    ("point", &["(0,0)", "(1,-1)", "(0.1,1e17)"]),
    ("lseg", &["[(0,0),(1,1)]", "[(0,0),(0,0)]"]),
    ("line", &["{1,-1,0}", "{0,1,2}"]),
    ("box", &["(1,1),(0,0)", "(0,0),(0,0)"]),
    ("path", &["((0,0),(1,1))", "[(0,0),(1,1)]"]),
    ("polygon", &["((0,0),(1,0),(1,1))", "((0,0))"]),
    ("circle", &["<(0,0),1>", "<(1,1),0>"]),
    ("tsvector", &["", "'a'", "'a':1A 'b':2"]),
    ("tsquery", &["", "'a'", "'a' & !'b'", "'a':*"]),
    ("oid", &["0", "1", "4294967295"]),
    ("xid8", &["0", "1", "18446744073709551615"]),
    ("tid", &["(0,1)", "(7,7)"]),
    ("pg_lsn", &["0/0", "0/16B3748", "FFFFFFFF/FFFFFFFF"]),
    ("pg_snapshot", &["1:1:", "10:20:10,14,15"]),
    ("oidvector", &["", "1", "1 2 3"]),
    ("int2vector", &["", "1", "1 -2 3"]),
    ("regclass", &["pg_class", "pg_type"]),
    ("regcollation", &["\"C\"", "\"POSIX\""]),
    ("regconfig", &["simple", "english"]),
    ("regdictionary", &["simple", "english_stem"]),
    ("regnamespace", &["pg_catalog", "information_schema"]),
    ("regoper", &["||/", "|/"]),
    ("regoperator", &["+(integer,integer)", "-(integer,integer)"]),
    ("regproc", &["now", "version"]),
    ("regprocedure", &["abs(integer)", "abs(bigint)"]),
    ("regrole", &["pg_monitor", "pg_read_all_data"]),
    ("regtype", &["integer", "text[]"]),
    ("aclitem", &["=r/pg_monitor", "pg_monitor=rw/pg_monitor"]),
];

/// Types with the same input as another one.
const ALIKE: &[(&str, &str)] = &[
    ("varchar", "text"),
    ("bpchar", "text"),
    ("refcursor", "text"),
    ("jsonb", "json"),
    ("xid", "oid"),
    ("cid", "oid"),
    ("txid_snapshot", "pg_snapshot"),
];

/// The edges of a type; for an unknown type those of all others.
pub(super) fn edges(name: &str, typmod: i32) -> Vec<String> {
    if matches!(name, "bit" | "varbit") {
        let width = usize::try_from(typmod).unwrap_or(4).max(1);
        let mut bits = vec!["0".repeat(width), "1".repeat(width), "10".repeat(width)[..width].to_owned()];
        bits.extend((name == "varbit").then(String::new));
        return bits;
    }
    let name = ALIKE.iter().find(|(alike, _)| *alike == name).map_or(name, |(_, known)| known);
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    if let Some((_, texts)) = EDGES.iter().find(|(known, _)| *known == name) {
        return owned(texts);
    }
    let guesses = EDGES.iter().flat_map(|(_, texts)| texts.iter()).chain(SHAPED);
    guesses.map(|text| (*text).to_owned()).collect()
}

/// A value for this number; for an unknown type several guesses.
pub(super) fn numbered(name: &str, typmod: i32, n: u64) -> Vec<String> {
    let (seconds, minutes, hours) = (n % 60, n / 60 % 60, n / 3600 % 24);
    let day = format!("2{:03}-{:02}-{:02}", n / 336 % 1000, n / 28 % 12 + 1, n % 28 + 1);
    let [_, _, _, _, _, b, c, d] = n.to_be_bytes();
    let one = match name {
        "int2" | "int4" | "int8" | "numeric" | "oid" | "xid" | "xid8" | "cid" | "oidvector"
        | "int2vector" => n.to_string(),
        _ if name.starts_with("reg") => n.to_string(),
        "float4" | "float8" => format!("{n}.5"),
        "money" => format!("{n}.25"),
        "text" | "varchar" | "bpchar" => fitting_word(n, typmod),
        "name" | "refcursor" => format!("v{n}"),
        "char" => char::from(b'!' + u8::try_from(n % 94).unwrap_or_default()).to_string(),
        "bytea" => format!("\\x{n:016x}"),
        "date" => day,
        "time" => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        "timetz" => format!("{hours:02}:{minutes:02}:{seconds:02}+00"),
        "timestamp" => format!("{day} 12:00:00"),
        "timestamptz" => format!("{day} 12:00:00+00"),
        "interval" => format!("{n} hours"),
        "bit" => {
            let width = usize::try_from(typmod).unwrap_or(16).clamp(1, 512);
            let bits = format!("{n:0width$b}");
            bits[bits.len() - width..].to_owned()
        }
        "varbit" => format!("{n:b}"),
        "uuid" => format!("00000000-0000-4000-8000-{n:012x}"),
        "json" | "jsonb" => format!("{{\"n\": {n}}}"),
        "jsonpath" => format!("$.v{n}"),
        "xml" => format!("<n>{n}</n>"),
        "inet" => format!("10.{b}.{c}.{d}"),
        "cidr" => format!("10.{b}.{c}.{d}/32"),
        "macaddr" => format!("08:00:2b:{b:02x}:{c:02x}:{d:02x}"),
        "macaddr8" => format!("08:00:2b:01:02:{b:02x}:{c:02x}:{d:02x}"),
        "point" => format!("({n},1)"),
        "lseg" => format!("[(0,0),({n},1)]"),
        "line" => format!("{{1,-1,{n}}}"),
        "box" => format!("({n},{n}),(0,0)"),
        "path" => format!("[(0,0),({n},1)]"),
        "polygon" => format!("((0,0),({n},0),(1,1))"),
        "circle" => format!("<(0,0),{n}>"),
        "tsvector" | "tsquery" => format!("'v{n}'"),
        "tid" => format!("({n},1)"),
        "pg_lsn" => format!("0/{n:X}"),
        "pg_snapshot" | "txid_snapshot" => format!("{n}:{n}:"),
        "aclitem" => {
            let has = |(bit, _): &(usize, char)| (n >> bit) & 1 == 1;
            let rights: String =
                "arwdDxtXUC".chars().enumerate().filter(has).map(|(_, right)| right).collect();
            format!("={rights}/pg_monitor")
        }
        "bool" => return Vec::new(),
        _ => return guesses(n),
    };
    vec![one]
}

/// A word that fits the length of the column.
fn fitting_word(n: u64, typmod: i32) -> String {
    let word = format!("v{n}");
    match usize::try_from(typmod - 4) {
        Ok(width) if width < word.len() => word[word.len() - width..].to_owned(),
        _ => word,
    }
}

fn guesses(n: u64) -> Vec<String> {
    vec![
        n.to_string(),
        format!("v{n}"),
        format!("v{n}.w"),
        format!("{n}.{n}.{n}"),
        format!("[{n},{n}]"),
        format!("[{n},{n},{n}]"),
        format!("({n},{n})"),
        format!("k=>{n}"),
        format!("POINT({n} {n})"),
        format!("{{{n}}}"),
    ]
}
