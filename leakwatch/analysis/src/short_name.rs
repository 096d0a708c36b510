//! Names of functions as people write them: C++ without what a compiler adds by default. Tables and sentences have them; profiles and JSON keep the whole
//! name.

use std::borrow::Cow;

/// Namespaces that exist for the linker only: the new string of libstdc++, the version of libc++.
const INLINE_NAMESPACES: [&str; 3] = ["__cxx11::", "__1::", "__ndk1::"];
/// Template arguments that are there by default wherever they are not the first.
const DEFAULTS: [&str; 6] = [
    "std::allocator<",
    "std::char_traits<",
    "std::default_delete<",
    "std::equal_to<",
    "std::hash<",
    "std::less<",
];
/// What is left of types that have a name of their own.
const NAMED: [(&str, &str); 10] = [
    ("std::basic_string<char>", "std::string"),
    ("std::basic_string<wchar_t>", "std::wstring"),
    ("std::basic_string_view<char>", "std::string_view"),
    ("std::basic_ostream<char>", "std::ostream"),
    ("std::basic_istream<char>", "std::istream"),
    ("std::basic_iostream<char>", "std::iostream"),
    ("std::basic_stringstream<char>", "std::stringstream"),
    ("std::basic_ostringstream<char>", "std::ostringstream"),
    ("std::basic_ofstream<char>", "std::ofstream"),
    ("std::basic_ifstream<char>", "std::ifstream"),
];
/// Templates within templates; deeper ones stay as they are.
const DEEPEST: usize = 32;

/// The short name of a function; itself where nothing can be left out.
pub fn of(function: &str) -> Cow<'_, str> {
    if !function.contains("std::") {
        return Cow::Borrowed(function);
    }
    let mut name = function.replace("[abi:cxx11]", "");
    for namespace in INLINE_NAMESPACES {
        name = name.replace(&format!("std::{namespace}"), "std::");
    }
    if let Some(without) = without_defaults(&name, DEEPEST) {
        name = without;
    }
    for (whole, short) in NAMED {
        name = name.replace(whole, short);
    }
    Cow::Owned(name)
}

/// Without the template arguments that are there by default; none where brackets are not those of templates (`operator<`, `->`).
fn without_defaults(name: &str, depth: usize) -> Option<String> {
    let Some(open) = name.find('<') else {
        return (!name.contains('>')).then(|| name.to_owned());
    };
    let (before, inside) = (name.get(..open)?, name.get(open + 1..)?);
    if depth == 0 || before.ends_with("operator") || before.contains('>') {
        return None;
    }
    let (mut level, mut round, mut begin) = (0_usize, 0_usize, 0);
    let mut arguments = Vec::new();
    let mut close = None;
    for (at, character) in inside.char_indices() {
        match character {
            '<' => level += 1,
            '(' => round += 1,
            ')' => round = round.checked_sub(1)?,
            '>' if level > 0 => level -= 1,
            '>' => {
                close = Some(at);
                break;
            }
            ',' if level == 0 && round == 0 => {
                arguments.push(inside.get(begin..at)?.trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    let close = close?;
    arguments.push(inside.get(begin..close)?.trim());
    let kept = arguments.into_iter().enumerate();
    let kept =
        kept.filter(|(index, argument)| *index == 0 || !DEFAULTS.iter().any(|default| argument.starts_with(default)));
    let kept: Option<Vec<String>> = kept
        .map(|(_, argument)| without_defaults(argument, depth - 1))
        .collect();
    let rest = without_defaults(inside.get(close + 1..)?, depth)?;
    Some(format!("{before}<{}>{rest}", kept?.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_compiler_adds_by_default_is_left_out() {
        let string = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        for (whole, short) in [
            (format!("Cache::put({string} const&)"), "Cache::put(std::string const&)"),
            (
                format!("std::vector<{string}, std::allocator<{string} > >::push_back({string}&&)"),
                "std::vector<std::string>::push_back(std::string&&)",
            ),
            (
                format!(
                    "std::map<{string}, int, std::less<{string} >, std::allocator<std::pair<{string} const, int> > >::operator[]({string} const&)"
                ),
                "std::map<std::string, int>::operator[](std::string const&)",
            ),
            (
                "std::__1::unordered_map<int, Item, std::__1::hash<int>, std::__1::equal_to<int>, std::__1::allocator<std::__1::pair<int const, Item>>>::find(int const&)".to_owned(),
                "std::unordered_map<int, Item>::find(int const&)",
            ),
            (
                format!("std::function<void (int, {string})>::operator()(int, {string}) const"),
                "std::function<void (int, std::string)>::operator()(int, std::string) const",
            ),
            (format!("name[abi:cxx11]({string})"), "name(std::string)"),
            // The allocator is what is meant.
            (
                "std::allocator_traits<std::allocator<Item> >::allocate(std::allocator<Item>&, unsigned long)".to_owned(),
                "std::allocator_traits<std::allocator<Item>>::allocate(std::allocator<Item>&, unsigned long)",
            ),
            ("main.handle".to_owned(), "main.handle"),
            ("alloc::vec::Vec<T,A>::push".to_owned(), "alloc::vec::Vec<T,A>::push"),
            (
                "std::ostream& operator<< <char>(std::ostream&, Item)".to_owned(),
                "std::ostream& operator<< <char>(std::ostream&, Item)",
            ),
            ("Item::operator->(std::string)".to_owned(), "Item::operator->(std::string)"),
        ] {
            assert_eq!(of(&whole), short, "{whole}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics_or_grows(name in "(std::|[<>(),: a-z]|__1::|allocator<|é){0,60}") {
            prop_assert!(of(&name).len() <= name.len() + name.matches(',').count());
        }
    }
}
