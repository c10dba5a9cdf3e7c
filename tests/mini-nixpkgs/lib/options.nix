# Declarations of options, and wrappers of definitions.
{ lib }:
rec {
  mkOption = attrs: attrs // { _type = "option"; };

  mkEnableOption =
    what:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
      type = (import ./types.nix { lib = lib // { inherit mkOption; }; }).bool;
    };

  isOption = x: x._type or null == "option";

  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  mdDoc = text: text;

  # A lower number wins; an option's own default is 1500, a bare definition
  # 100.
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  defaultOverridePriority = 100;
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };

  # The place of a definition in a merged list or text; the default is 1000.
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;

  mkAssert = assertion: message: content: mkIf (if assertion then true else throw message) content;

  # A value for an error message: short, and safe for values that cannot be
  # printed.
  showValue =
    value:
    let
      text =
        if lib.isDerivation value then
          "<derivation ${value.name or "?"}>"
        else if builtins.isFunction value then
          "<function>"
        else if builtins.isAttrs value then
          "{ ${lib.concatStrings (lib.mapAttrsToList (n: v: "${n} = ${showShallow v}; ") value)}}"
        else if builtins.isList value then
          "[ ${lib.concatMapStrings (v: "${showShallow v} ") value}]"
        else
          showShallow value;
      showShallow =
        v:
        if builtins.isAttrs v then
          "{...}"
        else if builtins.isList v then
          "[...]"
        else if builtins.isFunction v then
          "<function>"
        else if builtins.isPath v then
          toString v
        else
          builtins.toJSON v;
      tried = builtins.tryEval text;
    in
    if tried.success then tried.value else "<error>";

  showDefs = defs: lib.concatMapStrings (def: "\n- In `${def.file}': ${showValue def.value}") defs;
}
