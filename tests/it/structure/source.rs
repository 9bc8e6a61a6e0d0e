//! The crate's files as syntax trees, reduced to what the rules look at.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{Delimiter, Literal, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// One file.
pub(super) struct Source {
    /// Below the repository's root.
    pub(super) path: String,
    /// Every path that it names. Those of this crate begin with `crate`, whatever the file writes.
    pub(super) paths: Vec<Vec<String>>,
    /// Its texts, without comments and attributes. From here on tests are left out.
    pub(super) texts: Vec<String>,
    /// The functions, methods and macros that it calls, without what stands before their names.
    pub(super) calls: Vec<String>,
    /// Names that every module reaches as `crate::NAME`, and the module that has each.
    pub(super) exports: Vec<(String, String)>,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text);
        let file = file.unwrap_or_else(|error| panic!("{path} cannot be parsed: {error}"));
        let module = module_of(path);
        let is_test = path.ends_with("/tests.rs");
        let mut reader = Reader { module, is_test, ..Reader::default() };
        reader.visit_file(&file);
        let Reader { paths, texts, calls, exports, .. } = reader;
        Self { path: path.to_owned(), paths, texts, calls, exports }
    }

    /// The first folder or file below `src`; `None` for `lib.rs` and `main.rs`, which name everything.
    pub(super) fn module(&self) -> Option<String> {
        module_of(&self.path).into_iter().next()
    }

    /// Whether it is one of these files, or lies in one of these folders, below `src`.
    pub(super) fn is_in(&self, rooms: &[&str]) -> bool {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        rooms.iter().any(|room| below == *room || below.starts_with(&format!("{room}/")))
    }
}

/// The modules from the crate's root down to a file.
fn module_of(path: &str) -> Vec<String> {
    let Some(below) = path.strip_prefix("src/").and_then(|it| it.strip_suffix(".rs")) else {
        return Vec::new();
    };
    let names = below.split('/').filter(|name| !["mod", "lib", "main"].contains(name));
    names.map(str::to_owned).collect()
}

/// The crate's files. They are parsed once, which takes some seconds.
pub(super) fn all() -> &'static [Source] {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
        files("src").iter().map(|(path, text)| Source::parse(path, text)).collect()
    });
    &ALL
}

/// The path and the text of every file in a folder of the repository.
pub(super) fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![root.join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().display().to_string();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

#[derive(Default)]
struct Reader {
    /// The modules around what is read.
    module: Vec<String>,
    is_test: bool,
    paths: Vec<Vec<String>>,
    texts: Vec<String>,
    calls: Vec<String>,
    exports: Vec<(String, String)>,
}

impl Reader {
    fn name(&mut self, path: &[String]) {
        let mut modules = self.module.clone();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => modules.clear(),
                "self" => {}
                "super" => drop(modules.pop()),
                _ => break,
            }
            rest = after;
        }
        let absolute = rest.len() == path.len();
        let crate_itself = if absolute { Vec::new() } else { vec!["crate".to_owned()] };
        let modules = if absolute { Vec::new() } else { modules };
        self.paths.push([crate_itself, modules, rest.to_vec()].concat());
    }

    fn call(&mut self, name: &str) {
        if !self.is_test {
            self.calls.push(name.to_owned());
        }
    }

    fn text(&mut self, literal: Literal) {
        if let (syn::Lit::Str(text), false) = (syn::Lit::new(literal), self.is_test) {
            self.texts.push(text.value());
        }
    }

    /// The branches of a `use`.
    fn tree(&mut self, tree: &syn::UseTree, before: &[String], public: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), public),
            syn::UseTree::Name(name) => self.branch(&with(&name.ident), &name.ident, public),
            syn::UseTree::Rename(name) => self.branch(&with(&name.ident), &name.rename, public),
            syn::UseTree::Glob(_) => self.name(before),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(tree, before, public));
            }
        }
    }

    fn branch(&mut self, path: &[String], name: &syn::Ident, public: bool) {
        self.name(path);
        if public && self.module.is_empty() {
            let module = path.iter().find(|it| *it != "crate" && *it != "self");
            self.exports.extend(module.map(|module| (name.to_string(), module.clone())));
        }
    }

    /// The tokens of a macro: paths, calls and texts, as far as they can be told without its rules.
    fn tokens(&mut self, tokens: TokenStream, before: &[String]) {
        let mut path: Vec<String> = before.to_vec();
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Ident(ident) => {
                    path.push(ident.to_string());
                    let colons = tokens.peek().is_some_and(is_first_colon);
                    let group = match tokens.peek() {
                        Some(TokenTree::Group(group)) => Some(group.delimiter()),
                        _ => None,
                    };
                    if group == Some(Delimiter::Parenthesis) {
                        self.call(&ident.to_string());
                    }
                    if !colons {
                        self.name(&std::mem::replace(&mut path, before.to_vec()));
                    }
                }
                TokenTree::Punct(_) if is_first_colon(&token) => drop(tokens.next()),
                TokenTree::Punct(_) => path = before.to_vec(),
                TokenTree::Group(group) => {
                    let in_use = group.delimiter() == Delimiter::Brace && path.len() > before.len();
                    let outer = if in_use { std::mem::take(&mut path) } else { Vec::new() };
                    self.tokens(group.stream(), &outer);
                    path = before.to_vec();
                }
                TokenTree::Literal(literal) => self.text(literal.clone()),
            }
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], public);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        self.name(&segments);
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        let outer = self.is_test;
        self.is_test |= is_test(&item.attrs);
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.is_test = outer;
    }

    fn visit_item_macro(&mut self, item: &'a syn::ItemMacro) {
        if let (Some(name), Some(module)) = (&item.ident, self.module.first())
            && item.attrs.iter().any(|it| it.path().is_ident("macro_export"))
        {
            self.exports.push((name.to_string(), module.clone()));
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone(), &[]);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.call(&call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(last) = function.path.segments.last()
        {
            self.call(&last.ident.to_string());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_lit_str(&mut self, text: &'a syn::LitStr) {
        if !self.is_test {
            self.texts.push(text.value());
        }
    }

    // Comments, and words for derived code.
    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}
}

/// Whether a token begins a `::`.
fn is_first_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(it) if it.as_char() == ':' && it.spacing() == Spacing::Joint)
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        let syn::Meta::List(list) = &it.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
    })
}
