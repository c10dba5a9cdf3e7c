# Functions on plain values: lists, attribute sets, strings.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    hasAttr
    head
    isAttrs
    isFunction
    isList
    isString
    length
    listToAttrs
    map
    match
    replaceStrings
    stringLength
    substring
    tail
    ;

  self = {
    inherit (builtins)
      add
      addErrorContext
      all
      any
      attrNames
      attrValues
      baseNameOf
      catAttrs
      concatLists
      concatMap
      concatStringsSep
      deepSeq
      dirOf
      elem
      elemAt
      filter
      foldl'
      fromJSON
      genList
      getAttr
      groupBy
      hasAttr
      head
      intersectAttrs
      isAttrs
      isBool
      isFloat
      isFunction
      isInt
      isList
      isPath
      isString
      length
      lessThan
      listToAttrs
      map
      mapAttrs
      match
      partition
      pathExists
      readFile
      removeAttrs
      replaceStrings
      seq
      sort
      split
      splitVersion
      storeDir
      stringLength
      sub
      substring
      tail
      toJSON
      toString
      trace
      tryEval
      typeOf
      zipAttrsWith
      ;

    # Flow
    id = x: x;
    const = x: _: x;
    flip = f: a: b: f b a;
    pipe = foldl' (x: f: f x);
    throwIf = cond: message: if cond then throw message else x: x;
    throwIfNot = cond: message: if cond then x: x else throw message;
    warn = message: builtins.trace "evaluation warning: ${message}";
    warnIf = cond: message: if cond then self.warn message else x: x;
    boolToString = b: if b then "true" else "false";
    min = a: b: if a < b then a else b;
    max = a: b: if a > b then a else b;
    mod = a: b: a - b * (a / b);
    toFunction = x: if isFunction x then x else _: x;
    setFunctionArgs = f: args: {
      __functor = _: f;
      __functionArgs = args;
    };
    functionArgs = f: f.__functionArgs or (builtins.functionArgs f);
    # A package whose arguments can be changed.
    makeOverridable =
      f: args:
      f args
      // {
        override = changes: self.makeOverridable f (args // changes);
      };
    fix =
      f:
      let
        x = f x;
      in
      x;

    # Lists
    singleton = x: [ x ];
    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    toList = x: if isList x then x else [ x ];
    foldr =
      op: nul: list:
      let
        go = n: if n == length list then nul else op (elemAt list n) (go (n + 1));
      in
      go 0;
    fold = self.foldr;
    foldl = foldl';
    last = list: elemAt list (length list - 1);
    init = list: self.take (length list - 1) list;
    take = n: self.sublist 0 n;
    drop = n: list: self.sublist n (length list) list;
    sublist =
      start: count: list:
      let
        rest = length list - start;
      in
      genList (n: elemAt list (n + start)) (self.max 0 (self.min count rest));
    flatten = x: if isList x then concatMap self.flatten x else [ x ];
    remove = x: filter (y: y != x);
    reverseList = list: genList (n: elemAt list (length list - n - 1)) (length list);
    unique = foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ];
    subtractLists = e: filter (x: !elem x e);
    intersectLists = e: filter (x: elem x e);
    range = first: final: genList (n: first + n) (self.max 0 (final - first + 1));
    imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
    imap1 = f: list: genList (n: f (n + 1) (elemAt list n)) (length list);
    zipListsWith =
      f: a: b:
      genList (n: f (elemAt a n) (elemAt b n)) (self.min (length a) (length b));
    findFirst =
      pred: default: list:
      let
        found = filter pred list;
      in
      if found == [ ] then default else head found;
    count = pred: list: length (filter pred list);
    forEach = xs: f: map f xs;

    # Attribute sets
    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: f: listToAttrs (map (n: self.nameValuePair n (f n)) names);
    mapAttrs' = f: set: listToAttrs (map (n: f n set.${n}) (attrNames set));
    mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
    attrsToList = self.mapAttrsToList self.nameValuePair;
    concatMapAttrs = f: set: self.mergeAttrsList (self.mapAttrsToList f set);
    mergeAttrsList = foldl' (a: b: a // b) { };
    filterAttrs =
      pred: set:
      removeAttrs set (filter (n: !pred n set.${n}) (attrNames set));
    optionalAttrs = cond: set: if cond then set else { };
    getAttrs = names: set: self.genAttrs names (n: set.${n});
    attrVals = names: set: map (n: set.${n}) names;
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if isAttrs set && hasAttr (head path) set then
        self.attrByPath (tail path) default set.${head path}
      else
        default;
    hasAttrByPath =
      path: set:
      path == [ ]
      || isAttrs set && hasAttr (head path) set && self.hasAttrByPath (tail path) set.${head path};
    getAttrFromPath =
      path: set:
      self.attrByPath path (throw "cannot find attribute `${self.showOption path}'") set;
    setAttrByPath = path: value: self.foldr (name: inner: { ${name} = inner; }) value path;
    recursiveUpdate =
      a: b:
      a
      // builtins.mapAttrs (
        n: v: if isAttrs v && isAttrs (a.${n} or null) then self.recursiveUpdate a.${n} v else v
      ) b;
    isDerivation = x: isAttrs x && x.type or null == "derivation";
    getBin = p: p;
    getExe = p: "${p}/bin/${p.meta.mainProgram or p.pname or (builtins.parseDrvName p.name).name}";
    getExe' = p: name: "${p}/bin/${name}";
    # Packages have no priorities here.
    hiPrio = package: package;
    makeBinPath = self.concatMapStringsSep ":" (p: "${p}/bin");

    # Strings
    concatStrings = builtins.concatStringsSep "";
    concatMapStrings = f: list: self.concatStrings (map f list);
    concatMapStringsSep =
      sep: f: list:
      builtins.concatStringsSep sep (map f list);
    concatLines = self.concatMapStrings (line: line + "\n");
    optionalString = cond: s: if cond then s else "";
    hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
    hasSuffix =
      suffix: s:
      let
        n = stringLength s - stringLength suffix;
      in
      n >= 0 && substring n (-1) s == suffix;
    hasInfix = infix: s: replaceStrings [ infix ] [ "" ] s != s || infix == "";
    removePrefix =
      prefix: s: if self.hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
    removeSuffix =
      suffix: s:
      if self.hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;
    splitString =
      sep: s:
      filter isString (builtins.split (self.escapeRegex sep) s);
    stringToCharacters = s: genList (n: substring n 1 s) (stringLength s);
    stringAsChars = f: s: self.concatMapStrings f (self.stringToCharacters s);
    escape = chars: replaceStrings chars (map (c: "\\${c}") chars);
    escapeRegex = self.escape (self.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = s: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";
    escapeShellArgs = self.concatMapStringsSep " " self.escapeShellArg;
    replicate = n: x: genList (_: x) n;
    fixedWidthNumber =
      width: n:
      let
        s = toString n;
      in
      self.concatStrings (self.replicate (width - stringLength s) "0") + s;
    trim =
      s:
      let
        parts = match "[[:space:]]*(.*[^[:space:]])[[:space:]]*" s;
      in
      if parts == null then "" else head parts;
    toLower = replaceStrings self.upperChars self.lowerChars;
    toUpper = replaceStrings self.lowerChars self.upperChars;
    lowerChars = self.stringToCharacters "abcdefghijklmnopqrstuvwxyz";
    upperChars = self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    toInt =
      s:
      let
        n = if match "-?[0-9]+" s == null then null else builtins.fromJSON (self.stripZeros s);
      in
      if n == null then throw "cannot convert ${s} to int" else n;
    stripZeros =
      s:
      let
        parts = match "(-?)0*([0-9]+)" s;
      in
      head parts + elemAt parts 1;
    versionOlder = a: b: builtins.compareVersions a b < 0;
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    isStringLike = x: isString x || builtins.isPath x || x ? outPath || x ? __toString;
    isStorePath =
      x: self.isStringLike x && dirOf (toString x) == builtins.storeDir;

    # An option's path for messages; a name that is not a plain identifier is
    # quoted.
    showOption =
      path:
      builtins.concatStringsSep "." (
        map (name: if match "[a-zA-Z_*<][a-zA-Z0-9_'>*-]*" name != null then name else builtins.toJSON name) path
      );
  };
in
self
