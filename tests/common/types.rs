//! A JSON Schema of what a type of the program is written as, from the type itself: its fields, its variants, and what serde is told about
//! them stand in the source, which is read here. What the program writes by hand has to be said in [`Types::said`].

use std::{collections::BTreeMap, fs, path::Path, rc::Rc};

use serde_json::{Map, Value, json};
use syn::{
    Attribute, Fields, GenericArgument, Item, Lit, LitStr, PathArguments, Token, Type, UseTree, punctuated::Punctuated,
};

/// The names that a file imports, each with its whole path.
type Uses = Rc<BTreeMap<String, Vec<String>>>;

/// All types of the program that are written as JSON, and what is known of those that are written by hand.
pub struct Types {
    found: BTreeMap<String, Vec<Found>>,
    said: BTreeMap<&'static str, Value>,
}

#[derive(Clone)]
struct Found {
    /// Path of its module, without the crate.
    module: Vec<String>,
    uses: Uses,
    what: What,
}

#[derive(Clone)]
enum What {
    Struct(Rules, Fields),
    Enum(Rules, Vec<(Rules, String, Fields)>),
    Alias(Type),
}

/// What serde is told of a type, a field or a variant.
#[derive(Clone, Default)]
struct Rules {
    rename: Option<String>,
    snake_case: bool,
    tag: Option<String>,
    content: Option<String>,
    untagged: bool,
    flatten: bool,
    skip: bool,
    may_be_absent: bool,
    into: Option<String>,
    /// A function of its own writes it.
    by_hand: bool,
}

/// An object: its properties, and those that are always there.
#[derive(Clone, Default)]
struct Object {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Types {
    /// Reads the sources of the folders `roots`. `said` has the schemas of types that are written by hand, by name, and of fields whose type
    /// tells nothing, as `Type.field`.
    pub fn read(roots: &[&Path], said: &[(&'static str, Value)]) -> Self {
        let mut types = Self { found: BTreeMap::new(), said: said.iter().cloned().collect() };
        roots.iter().for_each(|root| types.folder(root, root));
        types
    }

    /// Says what a type or a field is written as that does not tell it itself.
    pub fn say(&mut self, name: &'static str, schema: Value) {
        self.said.insert(name, schema);
    }

    /// The schema of what stands in a type of `module`, such as `actors::gateway::answers`.
    pub fn schema(&self, module: &str, text: &str) -> Value {
        let (of, module): (Type, _) = (syn::parse_str(text).unwrap(), module.split("::").map(str::to_owned).collect());
        self.of(&Found { module, uses: Uses::default(), what: What::Alias(of.clone()) }, &of)
    }

    fn folder(&mut self, folder: &Path, root: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path, root);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(root).unwrap().with_extension("");
                let module = module.iter().map(|part| part.to_str().unwrap().to_owned());
                let module: Vec<String> = module.filter(|part| !["lib", "mod"].contains(&part.as_str())).collect();
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                self.items(&file.items, &module);
            }
        }
    }

    fn items(&mut self, items: &[Item], module: &[String]) {
        let mut uses = BTreeMap::new();
        for item in items {
            if let Item::Use(item) = item {
                imported(&item.tree, &mut Vec::new(), &mut uses);
            }
        }
        let uses = Rc::new(uses);
        for item in items {
            let (name, what) = match item {
                Item::Struct(item) if is_written(&item.attrs) => {
                    (&item.ident, What::Struct(Rules::of(&item.attrs), item.fields.clone()))
                }
                Item::Enum(item) if is_written(&item.attrs) => {
                    let variants = item.variants.iter();
                    let variants =
                        variants.map(|one| (Rules::of(&one.attrs), one.ident.to_string(), one.fields.clone()));
                    (&item.ident, What::Enum(Rules::of(&item.attrs), variants.collect()))
                }
                Item::Type(item) => (&item.ident, What::Alias((*item.ty).clone())),
                _ => continue,
            };
            let found = Found { module: module.to_vec(), uses: Rc::clone(&uses), what };
            self.found.entry(name.to_string()).or_default().push(found);
        }
    }

    /// The type that `path` means where `at` stands.
    fn resolve(&self, at: &Found, path: &[String]) -> &Found {
        let mut whole = path.to_vec();
        if let Some(import) = at.uses.get(&path[0]) {
            whole = import.iter().chain(&path[1..]).cloned().collect();
        }
        let (name, hints) = whole.split_last().unwrap();
        let hints: Vec<&String> = hints
            .iter()
            .filter(|hint| !["crate", "self", "super", "vigie_core", "vigie"].contains(&hint.as_str()))
            .collect();
        let all =
            self.found.get(name).unwrap_or_else(|| panic!("{whole:?} in {:?} is no type that is written", at.module));
        let here = all.iter().find(|found| found.module == at.module).filter(|_| whole.len() == 1);
        let fits = |found: &&Found| {
            let mut rest = found.module.iter();
            hints.iter().all(|hint| rest.any(|part| part == *hint))
        };
        let all: Vec<&Found> = all.iter().collect();
        let fitting: Vec<&Found> = all.iter().copied().filter(fits).collect();
        let is_nearest = |found: &&Found| found.module.last() == hints.last().copied();
        let nearest: Vec<&Found> = fitting.iter().copied().filter(is_nearest).collect();
        let one =
            [all, fitting, nearest].into_iter().find_map(|found| if let [one] = found[..] { Some(one) } else { None });
        here.or(one).unwrap_or_else(|| panic!("{whole:?} in {:?} is one of several types", at.module))
    }

    /// What a type is written as.
    fn of(&self, at: &Found, of: &Type) -> Value {
        match of {
            Type::Reference(inner) => self.of(at, &inner.elem),
            Type::Slice(items) => json!({ "type": "array", "items": self.of(at, &items.elem) }),
            Type::Array(items) => {
                let syn::Expr::Lit(syn::ExprLit { lit: Lit::Int(length), .. }) = &items.len else {
                    panic!("an array whose length is not written in {:?}", at.module)
                };
                let length: usize = length.base10_parse().unwrap();
                json!({ "type": "array", "items": self.of(at, &items.elem), "minItems": length, "maxItems": length })
            }
            Type::Tuple(items) => {
                let (each, length): (Vec<Value>, _) =
                    (items.elems.iter().map(|item| self.of(at, item)).collect(), items.elems.len());
                json!({ "type": "array", "prefixItems": each, "minItems": length, "maxItems": length })
            }
            Type::Path(path) => {
                let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
                let arguments: Vec<&Type> = match &path.path.segments.last().unwrap().arguments {
                    PathArguments::AngleBracketed(inner) => {
                        let types = inner.args.iter();
                        types
                            .filter_map(|one| if let GenericArgument::Type(one) = one { Some(one) } else { None })
                            .collect()
                    }
                    _ => Vec::new(),
                };
                self.named(at, &names, &arguments)
            }
            _ => panic!("a type in {:?} is not understood", at.module),
        }
    }

    fn named(&self, at: &Found, names: &[String], arguments: &[&Type]) -> Value {
        let name = names.last().unwrap().as_str();
        match (name, arguments) {
            ("bool", []) => json!({ "type": "boolean" }),
            ("f64", []) => json!({ "type": "number" }),
            ("u8" | "u16" | "u32" | "u64" | "usize", []) => json!({ "type": "integer", "minimum": 0 }),
            ("i8" | "i16" | "i32" | "i64" | "isize", []) => json!({ "type": "integer" }),
            ("String" | "str" | "char", []) => json!({ "type": "string" }),
            ("Timestamp", []) => json!({ "type": "string", "format": "date-time" }),
            ("Date", []) => json!({ "type": "string", "format": "date" }),
            ("Value", []) => json!({}),
            ("Box" | "Arc" | "Rc" | "Cow", [inner]) => self.of(at, inner),
            ("Vec" | "VecDeque" | "BTreeSet", [items]) => json!({ "type": "array", "items": self.of(at, items) }),
            ("BTreeMap", [_, values]) => json!({ "type": "object", "additionalProperties": self.of(at, values) }),
            ("Option", [inner]) => or_null(self.of(at, inner)),
            (name, []) if self.said.contains_key(name) => self.said[name].clone(),
            (_, []) => self.found(self.resolve(at, names), name),
            _ => panic!("{name} in {:?} has arguments that are not understood", at.module),
        }
    }

    fn found(&self, found: &Found, name: &str) -> Value {
        match &found.what {
            What::Alias(of) => self.of(found, of),
            What::Struct(Rules { into: Some(into), .. }, _) => self.of(found, &syn::parse_str(into).unwrap()),
            What::Struct(_, Fields::Unnamed(fields)) if fields.unnamed.len() == 1 => {
                self.of(found, &fields.unnamed[0].ty)
            }
            What::Enum(rules, variants) if rules.tag.is_none() && !rules.untagged => {
                let (words, rest): (Vec<_>, Vec<_>) =
                    variants.iter().partition(|(_, _, fields)| matches!(fields, Fields::Unit));
                let words: Vec<String> = words.into_iter().map(|(own, name, _)| named_by(own, rules, name)).collect();
                let mut each: Vec<Value> = (!words.is_empty()).then(|| json!({ "enum": words })).into_iter().collect();
                for (own, variant, fields) in rest {
                    let inner = match fields {
                        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => self.of(found, &fields.unnamed[0].ty),
                        fields => one_of(self.fields(found, name, fields).into_iter().map(Object::schema)),
                    };
                    let object = Object::default().with(named_by(own, rules, variant), inner, true);
                    each.push(object.schema());
                }
                one_of(each)
            }
            _ => one_of(self.objects(found, name).into_iter().map(Object::schema)),
        }
    }

    /// The objects that a type may be written as.
    fn objects(&self, found: &Found, name: &str) -> Vec<Object> {
        match &found.what {
            What::Struct(_, fields) => self.fields(found, name, fields),
            What::Enum(rules, variants) => {
                let of_each = |(own, variant, fields): &(Rules, String, Fields)| {
                    let word = named_by(own, rules, variant);
                    let objects = match (fields, &rules.content) {
                        (Fields::Unnamed(fields), Some(content)) => {
                            vec![Object::default().with(content.clone(), self.of(found, &fields.unnamed[0].ty), true)]
                        }
                        (Fields::Unnamed(fields), None) => self.flattened(found, &fields.unnamed[0].ty),
                        (fields, _) => self.fields(found, name, fields),
                    };
                    let tagged = |object: Object| match (&rules.tag, rules.untagged) {
                        (Some(tag), _) => object.with(tag.clone(), json!({ "const": word }), true),
                        (None, true) => object,
                        (None, false) => Object::default().with(word.clone(), object.schema(), true),
                    };
                    objects.into_iter().map(tagged).collect::<Vec<_>>()
                };
                variants.iter().flat_map(of_each).collect()
            }
            What::Alias(_) => panic!("{name} is flattened and no struct"),
        }
    }

    fn flattened(&self, at: &Found, of: &Type) -> Vec<Object> {
        match of {
            Type::Reference(inner) => self.flattened(at, &inner.elem),
            Type::Path(path) => {
                let last = path.path.segments.last().unwrap();
                if let ("Box", PathArguments::AngleBracketed(inner)) =
                    (last.ident.to_string().as_str(), &last.arguments)
                    && let Some(GenericArgument::Type(inner)) = inner.args.first()
                {
                    return self.flattened(at, inner);
                }
                let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
                self.objects(self.resolve(at, &names), names.last().unwrap())
            }
            _ => panic!("what is flattened in {:?} is not understood", at.module),
        }
    }

    fn fields(&self, found: &Found, name: &str, fields: &Fields) -> Vec<Object> {
        let mut objects = vec![Object::default()];
        for field in fields {
            let (rules, own) =
                (Rules::of(&field.attrs), field.ident.as_ref().unwrap_or_else(|| panic!("{name} has no names")));
            if rules.skip {
                continue;
            }
            if rules.flatten {
                let inner = self.flattened(found, &field.ty);
                objects =
                    objects.iter().flat_map(|object| inner.iter().map(|inner| object.clone().and(inner))).collect();
                continue;
            }
            let schema = match self.said.get(format!("{name}.{own}").as_str()) {
                Some(said) => said.clone(),
                None if rules.by_hand => panic!("{name}.{own} is written by hand; say how"),
                None => self.of(found, &field.ty),
            };
            let key = rules.rename.clone().unwrap_or_else(|| own.to_string());
            objects = objects
                .into_iter()
                .map(|object| object.with(key.clone(), schema.clone(), !rules.may_be_absent))
                .collect();
        }
        objects
    }
}

impl Object {
    fn with(mut self, name: String, schema: Value, is_always_there: bool) -> Self {
        self.required.extend(is_always_there.then(|| name.clone()));
        self.properties.insert(name, schema);
        self
    }

    fn and(mut self, other: &Self) -> Self {
        self.properties.extend(other.properties.clone());
        self.required.extend(other.required.clone());
        self
    }

    fn schema(mut self) -> Value {
        self.required.sort_unstable();
        json!({ "type": "object", "properties": self.properties, "required": self.required })
    }
}

impl Rules {
    fn of(attributes: &[Attribute]) -> Self {
        let mut rules = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            let read = attribute.parse_nested_meta(|meta| {
                let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let value =
                    if meta.input.peek(Token![=]) { meta.value()?.parse::<LitStr>()?.value() } else { String::new() };
                match key.as_str() {
                    "rename" => rules.rename = Some(value),
                    "rename_all" if value == "snake_case" => rules.snake_case = true,
                    "tag" => rules.tag = Some(value),
                    "content" => rules.content = Some(value),
                    "into" => rules.into = Some(value),
                    "untagged" => rules.untagged = true,
                    "flatten" => rules.flatten = true,
                    "skip" | "skip_serializing" => rules.skip = true,
                    "skip_serializing_if" => rules.may_be_absent = true,
                    // how it is read, and a struct that is its only field
                    "default"
                    | "deny_unknown_fields"
                    | "from"
                    | "try_from"
                    | "deserialize_with"
                    | "borrow"
                    | "transparent" => {}
                    "with" | "serialize_with" => rules.by_hand = true,
                    other => panic!("#[serde({other})] is not known to this test"),
                }
                Ok(())
            });
            read.unwrap();
        }
        rules
    }
}

fn is_written(attributes: &[Attribute]) -> bool {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let mut names = derives
        .flat_map(|attribute| attribute.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).unwrap());
    names.any(|path| path.segments.last().is_some_and(|last| last.ident == "Serialize"))
}

/// The word that a variant is written as.
fn named_by(own: &Rules, all: &Rules, name: &str) -> String {
    if let Some(rename) = &own.rename {
        return rename.clone();
    }
    if !all.snake_case {
        return name.to_owned();
    }
    let mut word = String::new();
    for (number, letter) in name.char_indices() {
        if letter.is_uppercase() && number > 0 {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

fn imported(tree: &UseTree, path: &mut Vec<String>, uses: &mut BTreeMap<String, Vec<String>>) {
    match tree {
        UseTree::Path(part) => {
            path.push(part.ident.to_string());
            imported(&part.tree, path, uses);
            path.pop();
        }
        UseTree::Name(name) => {
            let whole = path.iter().cloned().chain([name.ident.to_string()]);
            uses.insert(name.ident.to_string(), whole.collect());
        }
        UseTree::Rename(name) => {
            let whole = path.iter().cloned().chain([name.ident.to_string()]);
            uses.insert(name.rename.to_string(), whole.collect());
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| imported(tree, path, uses)),
        UseTree::Glob(_) => {}
    }
}

/// One schema that allows what any of these does; no value fits two of them.
fn one_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    let mut schemas: Vec<Value> = schemas.into_iter().collect();
    if schemas.len() == 1 { schemas.remove(0) } else { json!({ "oneOf": schemas }) }
}

fn or_null(mut schema: Value) -> Value {
    if let Some(each) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        each.push(json!({ "type": "null" }));
    } else if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    } else if schema["type"].is_string() {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}
