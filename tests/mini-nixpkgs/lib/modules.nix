# The module system: many modules in, one checked configuration out.
#
#   load      a path, function or attribute set becomes { file, key, imports,
#             options, config }
#   closure   imports are followed, each module once
#   match     definitions are carried to the option that declares their place
#   merge     an option's definitions become its value (mergeDefinitions)
#
# Messages are in NixOS' words: people search for them.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    all
    attrNames
    concatLists
    concatMap
    filter
    foldl'
    head
    isAttrs
    isFunction
    isString
    length
    mapAttrs
    removeAttrs
    sort
    zipAttrsWith
    ;
  inherit (lib) isOption showDefs showOption;

  # ---- load ---------------------------------------------------------------

  moduleAttributes = [
    "_class"
    "_file"
    "config"
    "disabledModules"
    "freeformType"
    "imports"
    "key"
    "meta"
    "options"
  ];

  # Arguments come from specialArgs or from _module.args, which may depend on the
  # configuration.
  callModule =
    args: file: f:
    f (
      args
      // mapAttrs (
        name: _:
        args.${name}
          or args.config._module.args.${name}
          or (throw "The module `${file}' takes an argument `${name}' that is not there.")
      ) (lib.functionArgs f)
    );

  loadModule =
    args: fallbackFile: fallbackKey: module:
    if builtins.isPath module || isString module then
      loadValue args (toString module) (toString module) (import module)
    else if lib.isDerivation module then
      loadValue args "${module}" "${module}" (import module)
    else
      loadValue args fallbackFile fallbackKey module;

  loadValue =
    args: file: key: value:
    let
      module = if isFunction value || value ? __functor then callModule args file value else value;
      where = module._file or file;
      surplus = attrNames (removeAttrs module moduleAttributes);
      freeform = lib.optional (module ? freeformType) {
        file = where;
        config._module.freeformType = module.freeformType;
      };
      common = {
        file = where;
        key = module.key or key;
        imports = module.imports or [ ];
        disabledModules = module.disabledModules or [ ];
      };
    in
    if !isAttrs module then
      throw "Module `${where}' does not look like a module: it is ${builtins.typeOf module}."
    else if module ? _type then
      common
      // {
        options = { };
        configs = [
          {
            file = where;
            config = module;
          }
        ];
      }
    else if module ? config || module ? options then
      if surplus != [ ] then
        throw "Module `${where}' has an unsupported attribute `${head surplus}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${builtins.concatStringsSep " " surplus}) into the explicit `config' attribute."
      else
        common
        // {
          options = module.options or { };
          configs = freeform ++ [
            {
              file = where;
              config = module.config or { };
            }
          ];
        }
    else
      common
      // {
        options = { };
        configs = freeform ++ [
          {
            file = where;
            config = removeAttrs module moduleAttributes;
          }
        ];
      };

  # ---- closure ------------------------------------------------------------

  # A file that is imported twice counts once; the place of the import identifies
  # a module without a file. A module that another one disables, by its path below
  # NixOS' modules, leaves with what it imports.
  collectModules =
    args: modules:
    let
      loadAll =
        file: key: lib.imap1 (n: loadModule args file "${key}:anon-${toString n}");
      closure =
        disabled:
        let
          enabled = filter (module: !builtins.elem module.key disabled);
        in
        builtins.genericClosure {
          startSet = enabled (loadAll "<unknown-file>" "" modules);
          operator = module: enabled (loadAll module.file module.key module.imports);
        };
      disabled = concatMap (module: module.disabledModules) (closure [ ]);
      keyOf = module: if isString module && !lib.hasPrefix "/" module then "${args.modulesPath}/${module}" else toString module;
    in
    closure (map keyOf disabled);

  # ---- match --------------------------------------------------------------

  # Moves mkIf, mkMerge and mkOverride from an attribute set to its
  # attributes, so that names are known before conditions are evaluated.
  pushDown =
    loc: def:
    let
      inner = content: pushDown loc (def // { config = content; });
      wrapEach =
        wrap:
        map (part: part // { config = mapAttrs (_: wrap) part.config; }) (inner def.config.content);
      type = def.config._type or null;
    in
    if !isAttrs def.config then
      throw "You're trying to define a value of type `${builtins.typeOf def.config}' rather than an attribute set for the option `${showOption loc}'! This usually happens if `${showOption loc}' has option definitions inside that are not matched. The definition is in `${def.file}'."
    else if type == "merge" then
      concatMap inner def.config.contents
    else if type == "if" then
      wrapEach (lib.mkIf def.config.condition)
    else if type == "override" then
      wrapEach (lib.mkOverride def.config.priority)
    else
      [ def ];

  # decls: [{ file, options }], defs: [{ file, config }], both of the tree at
  # `loc`. Gives the same tree of evaluated options, of values, and the
  # definitions that no option declares.
  matchTree =
    loc: decls: defs:
    let
      declsByName = zipAttrsWith (_: parts: parts) (
        map (decl: mapAttrs (_: options: { inherit (decl) file; inherit options; }) decl.options) decls
      );
      defsByName = zipAttrsWith (_: parts: parts) (
        map (def: mapAttrs (_: config: { inherit (def) file; inherit config; }) def.config) (
          concatMap (pushDown loc) defs
        )
      );
      matchName =
        name: nameDecls:
        let
          here = loc ++ [ name ];
          nameDefs = defsByName.${name} or [ ];
          leaves = filter (decl: isOption decl.options) nameDecls;
        in
        if leaves == [ ] then
          matchTree here nameDecls nameDefs
        else
          rec {
            options = evalOption here (foldl' (mergeDeclarations here) (head leaves) (builtins.tail nameDecls)) (
              map (def: {
                inherit (def) file;
                value = def.config;
              }) nameDefs
            );
            config = options.value;
            unmatched = [ ];
          };
      matched = mapAttrs matchName declsByName;
      undeclared = removeAttrs defsByName (attrNames declsByName);
    in
    {
      options = mapAttrs (_: m: m.options) matched;
      config = mapAttrs (_: m: m.config) matched;
      unmatched =
        concatLists (lib.mapAttrsToList (_: m: m.unmatched) matched)
        ++ lib.mapAttrsToList (name: nameDefs: {
          path = loc ++ [ name ];
          defs = map (def: {
            inherit (def) file;
            value = def.config;
          }) nameDefs;
        }) undeclared;
    };

  # ---- merge --------------------------------------------------------------

  # A second declaration of an option can only add to its type.
  mergeDeclarations =
    loc: decl: other:
    let
      type = (decl.options.type or lib.types.unspecified).typeMerge (
        other.options.type or lib.types.unspecified
      );
    in
    if type == null || !isOption other.options then
      throw "The option `${showOption loc}' in `${other.file}' is already declared in `${decl.file}'."
    else
      decl
      // {
        options = decl.options // {
          inherit type;
        };
      };

  evalOption =
    loc: decl: givenDefs:
    let
      option = decl.options;
      type = option.type or lib.types.unspecified;
      defaults = lib.optional (option ? default) {
        inherit (decl) file;
        value = lib.mkOptionDefault option.default;
      };
      merged = mergeDefinitions loc type (givenDefs ++ defaults);
      value =
        if (option.readOnly or false) && length givenDefs > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs givenDefs}"
        else if merged.isDefined then
          merged.mergedValue
        else if type.emptyValue ? value then
          type.emptyValue.value
        else
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.";
    in
    option
    // {
      inherit loc type;
      inherit (merged) isDefined highestPrio;
      declarations = [ decl.file ];
      definitions = map (def: def.value) merged.defs;
      definitionsWithLocations = merged.defs;
      files = map (def: def.file) merged.defs;
      value = addErrorContext "while evaluating the option `${showOption loc}':" (
        (option.apply or (x: x)) value
      );
    };

  # mkIf and mkMerge resolved: the values that hold.
  discharge =
    loc: def:
    let
      type = def.value._type or null;
      inner = value: discharge loc (def // { inherit value; });
    in
    if !isAttrs def.value then
      [ def ]
    else if type == "merge" then
      concatMap inner def.value.contents
    else if type == "if" then
      if !builtins.isBool def.value.condition then
        throw "`mkIf' for option `${showOption loc}' in `${def.file}' was given a condition that is not a boolean."
      else if def.value.condition then
        inner def.value.content
      else
        [ ]
    else
      [ def ];

  unwrap =
    type: default: field: def:
    if isAttrs def.value && def.value._type or null == type then
      {
        key = def.value.${field};
        def = def // { value = def.value.content; };
      }
    else
      {
        key = default;
        inherit def;
      };

  mergeDefinitions =
    loc: type: rawDefs:
    let
      ranked = map (unwrap "override" lib.defaultOverridePriority "priority") (
        concatMap (discharge loc) rawDefs
      );
      highestPrio = foldl' (best: r: if r.key < best then r.key else best) 9999 ranked;
      winners = map (r: r.def) (filter (r: r.key == highestPrio) ranked);
      placed = map (unwrap "order" 1000 "priority") winners;
      defs = map (p: p.def) (
        if all (p: p.key == 1000) placed then placed else sort (a: b: a.key < b.key) placed
      );
      wrong = filter (def: !type.check def.value) defs;
    in
    {
      inherit defs highestPrio;
      isDefined = defs != [ ];
      mergedValue =
        if wrong != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}"
        else
          type.merge loc defs;
    };

  # ---- all of it ----------------------------------------------------------

  baseModule = {
    _file = "<module system>";
    key = "<module system>";
    options._module = {
      args = lib.mkOption {
        type = lib.types.lazyAttrsOf lib.types.raw;
        default = { };
        description = "Arguments that modules may take beside config, options and lib.";
      };
      check = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether a definition without an option is an error.";
      };
      freeformType = lib.mkOption {
        type = lib.types.nullOr lib.types.raw;
        default = null;
        description = "The type of definitions without an option.";
      };
    };
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      args = {
        inherit lib config;
        inherit (matched) options;
      }
      // specialArgs;
      collected = collectModules args ([ baseModule ] ++ modules);
      matched = matchTree prefix (map (m: {
        inherit (m) file options;
      }) collected) (concatMap (m: m.configs) collected);
      inherit (matched.config._module) freeformType;

      # Of a freeform definition only the part below the prefix is data.
      freeformConfig =
        (mergeDefinitions prefix freeformType (
          concatMap (
            u:
            map (def: {
              inherit (def) file;
              value = lib.setAttrByPath (lib.drop (length prefix) u.path) def.value;
            }) u.defs
          ) matched.unmatched
        )).mergedValue;
      config =
        if freeformType == null || matched.unmatched == [ ] then
          matched.config
        else
          lib.recursiveUpdate freeformConfig matched.config;

      first = head matched.unmatched;
      checked =
        if matched.config._module.check && freeformType == null && matched.unmatched != [ ] then
          throw "The option `${showOption first.path}' does not exist. Definition values:${showDefs first.defs}"
        else
          removeAttrs config [ "_module" ];
    in
    {
      _type = "configuration";
      config = checked;
      options = removeAttrs matched.options [ "_module" ];
      inherit (matched.config) _module;
      extendModules =
        more:
        evalModules {
          inherit prefix;
          modules = modules ++ more.modules or [ ];
          specialArgs = specialArgs // more.specialArgs or { };
        };
    };
in
{
  inherit evalModules mergeDefinitions;

  # Sets the file of a module that has none.
  setDefaultModuleLocation = file: module: {
    _file = file;
    imports = [ module ];
  };
}
