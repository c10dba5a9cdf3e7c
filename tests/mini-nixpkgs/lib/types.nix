# Types of options.
#
# A type is { name, description, check, merge, … }. `merge loc defs` makes one
# value of the definitions that are left once mkIf, mkMerge and priorities are
# resolved; defs is a list of { file, value } that is never empty and of which
# every value has passed `check`.
{ lib }:
let
  inherit (builtins)
    all
    elem
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isString
    length
    match
    ;
  inherit (lib) showOption;

  mkType =
    {
      name,
      description ? name,
      check ? _: true,
      merge ? mergeEqual,
      # The value without definitions: { } or { value }.
      emptyValue ? { },
      # For documentation and for options inside of submodules.
      getSubOptions ? _prefix: { },
      nestedTypes ? { },
      # The common type of two declarations of one option, or null.
      typeMerge ? _other: null,
    }:
    {
      _type = "option-type";
      inherit
        name
        description
        check
        merge
        emptyValue
        getSubOptions
        nestedTypes
        typeMerge
        ;
    };

  conflict =
    loc: defs:
    throw ''
      The option `${showOption loc}' has conflicting definition values:${lib.showDefs defs}
      Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.'';

  mergeEqual =
    loc: defs:
    let
      first = (head defs).value;
    in
    if length defs == 1 || all (def: def.value == first) defs then first else conflict loc defs;

  mergeOne =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n\nDefinition values:${lib.showDefs defs}";

  values = map (def: def.value);

  # A definition of a part of an option's value, at its own place.
  mergePart =
    loc: type: defs:
    (lib.mergeDefinitions loc type defs).mergedValue;

  between =
    low: high:
    addCheck int (x: x >= low && x <= high)
    // {
      description = "integer between ${toString low} and ${toString high} (both inclusive)";
    };

  addCheck = type: pred: type // { check = x: type.check x && pred x; };

  int = mkType {
    name = "int";
    description = "signed integer";
    check = isInt;
  };

  separatedString =
    sep:
    mkType {
      name = "separatedString";
      description =
        if sep == "" then "Concatenated string" else "strings concatenated with ${builtins.toJSON sep}";
      check = isString;
      merge = _: defs: builtins.concatStringsSep sep (values defs);
    };

  attrsOfWith =
    { lazy }:
    elemType:
    mkType {
      name = if lazy then "lazyAttrsOf" else "attrsOf";
      typeMerge =
        other:
        let
          merged = elemType.typeMerge (other.nestedTypes.elemType or types.unspecified);
        in
        if merged == null then null else attrsOfWith { inherit lazy; } merged;
      description = "attribute set of ${elemType.description}";
      check = isAttrs;
      emptyValue.value = { };
      nestedTypes.elemType = elemType;
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "<name>" ]);
      merge =
        loc: defs:
        let
          pushed = map (def: builtins.mapAttrs (_: value: { inherit (def) file; inherit value; }) def.value) defs;
          parts = builtins.zipAttrsWith (
            name: partDefs: lib.mergeDefinitions (loc ++ [ name ]) elemType partDefs
          ) pushed;
        in
        if lazy then
          builtins.mapAttrs (_: part: part.mergedValue) parts
        else
          # A name is absent if mkIf switches off all its definitions.
          builtins.mapAttrs (_: part: part.mergedValue) (lib.filterAttrs (_: part: part.isDefined) parts);
    };

  submoduleWith =
    {
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
    }:
    let
      base = lib.evalModules { inherit modules specialArgs; };
    in
    mkType {
      name = "submodule";
      nestedTypes.modules = modules;
      typeMerge =
        other:
        if other.name != "submodule" then
          null
        else
          submoduleWith {
            modules = modules ++ other.nestedTypes.modules;
            inherit specialArgs shorthandOnlyDefinesConfig;
          };
      description = "submodule";
      check = x: isAttrs x || isFunction x || builtins.isPath x;
      emptyValue.value = { };
      getSubOptions = _: base.options;
      merge =
        loc: defs:
        (lib.evalModules {
          inherit specialArgs;
          prefix = loc;
          modules =
            modules
            ++ [ { _file = "<submodule>"; config._module.args.name = lib.last loc; } ]
            ++ map (
              def:
              if isAttrs def.value && shorthandOnlyDefinesConfig then
                {
                  _file = def.file;
                  config = def.value;
                }
              else
                lib.setDefaultModuleLocation def.file def.value
            ) defs;
        }).config;
    };

  types = {
    inherit
      addCheck
      int
      mkType
      separatedString
      submoduleWith
      ;
    mkOptionType = mkType;

    unspecified = mkType { name = "unspecified"; };
    raw = mkType {
      name = "raw";
      description = "raw value";
      merge = mergeOne;
    };

    # Merges values whose merge is unambiguous.
    anything = mkType {
      name = "anything";
      merge =
        loc: defs:
        if all (def: isAttrs def.value && !lib.isDerivation def.value) defs then
          (types.lazyAttrsOf types.anything).merge loc defs
        else if all (def: isList def.value) defs then
          builtins.concatLists (values defs)
        else
          mergeEqual loc defs;
    };

    bool = mkType {
      name = "bool";
      description = "boolean";
      check = isBool;
    };
    boolByOr = types.bool // {
      merge = _: defs: builtins.any (x: x) (values defs);
    };

    float = mkType {
      name = "float";
      description = "floating point number";
      check = isFloat;
    };
    number = types.either types.int types.float;
    port = (between 0 65535) // {
      description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
    };
    ints = {
      inherit between;
      unsigned = addCheck int (x: x >= 0) // {
        description = "unsigned integer, meaning >=0";
      };
      positive = addCheck int (x: x > 0) // {
        description = "positive integer, meaning >0";
      };
      u8 = between 0 255;
      u16 = between 0 65535;
      u32 = between 0 4294967295;
    };

    str = mkType {
      name = "str";
      description = "string";
      check = isString;
    };
    string = types.str;
    singleLineStr = addCheck types.str (s: match "[^\n\r]*\n?" s != null) // {
      description = "(optionally newline-terminated) single-line string";
      merge = loc: defs: lib.removeSuffix "\n" (mergeEqual loc defs);
    };
    nonEmptyStr = addCheck types.str (s: match "[ \t\n]*" s == null) // {
      description = "non-empty string";
    };
    strMatching =
      pattern:
      addCheck types.str (s: match pattern s != null)
      // {
        name = "strMatching ${pattern}";
        description = "string matching the pattern ${pattern}";
      };
    lines = separatedString "\n";
    commas = separatedString ",";
    envVar = separatedString ":";

    path = mkType {
      name = "path";
      description = "absolute path";
      check = x: lib.isStringLike x && builtins.substring 0 1 (toString x) == "/";
    };
    pathInStore = addCheck types.path lib.isStorePath // {
      description = "path in the Nix store";
    };
    package = mkType {
      name = "package";
      check = x: lib.isDerivation x || lib.isStorePath x;
    };
    shellPackage = types.package;
    pkgs = mkType {
      name = "pkgs";
      description = "Nixpkgs package set";
      check = isAttrs;
      merge = mergeOne;
    };

    attrs = mkType {
      name = "attrs";
      description = "attribute set";
      check = isAttrs;
      emptyValue.value = { };
      merge = _: defs: lib.mergeAttrsList (values defs);
    };

    enum =
      allowed:
      mkType {
        name = "enum";
        description = "one of ${lib.concatMapStringsSep ", " lib.showValue allowed}";
        check = x: elem x allowed;
      };

    listOf =
      elemType:
      mkType {
        name = "listOf";
        description = "list of ${elemType.description}";
        check = isList;
        emptyValue.value = [ ];
        nestedTypes.elemType = elemType;
        getSubOptions = prefix: elemType.getSubOptions (prefix ++ [ "*" ]);
        merge =
          loc: defs:
          let
            parts = builtins.concatLists (
              lib.imap1 (
                n: def:
                lib.imap1 (
                  m: value:
                  lib.mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) elemType [
                    {
                      inherit (def) file;
                      inherit value;
                    }
                  ]
                ) def.value
              ) defs
            );
          in
          map (part: part.mergedValue) (builtins.filter (part: part.isDefined) parts);
      };
    nonEmptyListOf =
      elemType:
      addCheck (types.listOf elemType) (l: l != [ ])
      // {
        description = "non-empty list of ${elemType.description}";
        emptyValue = { };
      };

    attrsOf = attrsOfWith { lazy = false; };
    lazyAttrsOf = attrsOfWith { lazy = true; };

    nullOr =
      elemType:
      mkType {
        name = "nullOr";
        description = "null or ${elemType.description}";
        check = x: x == null || elemType.check x;
        emptyValue.value = null;
        nestedTypes.elemType = elemType;
        inherit (elemType) getSubOptions;
        merge =
          loc: defs:
          let
            nulls = lib.count (def: def.value == null) defs;
          in
          if nulls == length defs then
            null
          else if nulls != 0 then
            throw "The option `${showOption loc}' is defined both null and not null:${lib.showDefs defs}"
          else
            elemType.merge loc defs;
      };

    uniq = elemType: elemType // { merge = mergeOne; };
    unique = _: types.uniq;

    either =
      a: b:
      mkType {
        name = "either";
        description = "${a.description} or ${b.description}";
        check = x: a.check x || b.check x;
        nestedTypes = {
          left = a;
          right = b;
        };
        merge =
          loc: defs:
          if all (def: a.check def.value) defs then
            a.merge loc defs
          else if all (def: b.check def.value) defs then
            b.merge loc defs
          else
            conflict loc defs;
      };
    oneOf = ts: lib.foldr types.either (lib.last ts) (lib.init ts);

    coercedTo =
      from: coerce: to:
      let
        convert = x: if from.check x then coerce x else x;
      in
      to
      // {
        name = "coercedTo";
        description = "${to.description} or ${from.description} convertible to it";
        check = x: (from.check x && to.check (coerce x)) || to.check x;
        merge = loc: defs: to.merge loc (map (def: def // { value = convert def.value; }) defs);
      };

    functionTo =
      elemType:
      mkType {
        name = "functionTo";
        description = "function that evaluates to a(n) ${elemType.description}";
        check = f: isFunction f || f ? __functor;
        merge =
          loc: defs: arg:
          mergePart (loc ++ [ "<function body>" ]) elemType (map (def: def // { value = def.value arg; }) defs);
      };

    submodule =
      modules:
      submoduleWith {
        modules = lib.toList modules;
        shorthandOnlyDefinesConfig = true;
      };

    deferredModule = mkType {
      name = "deferredModule";
      description = "module";
      check = x: isAttrs x || isFunction x || builtins.isPath x || isString x;
      merge = _: defs: { imports = map (def: lib.setDefaultModuleLocation def.file def.value) defs; };
    };
  };
in
types
