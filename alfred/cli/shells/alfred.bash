# Completion of alfred for bash. The program itself says what can follow.
_alfred_completion() {
  local IFS=$' \t\n' typed=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} word before='' line value
  word=${typed##*[[:space:]]}
  [[ $word == --*=* ]] && word=${word#*=}
  # Readline breaks words at these signs, and puts back what stands before them.
  [[ $word == *[=:]* && $current != [\'\"]* ]] && before=${word%"${word##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    value=${line%%$'\t'*}
    [[ -n $before && $value != "$before"* ]] && continue
    value=${value#"$before"}
    # Inside a quotation, readline closes it; elsewhere a name with blanks needs its own.
    [[ $current == [\'\"]* ]] || printf -v value %q "$value"
    [[ -n $line ]] && COMPREPLY+=("$value")
  done < <(_ALFRED_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="$typed" \
    "${1/#\~/$HOME}" 2>/dev/null)
  # More is to be typed behind these.
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[./=] ]] && compopt -o nospace
  return 0
}

complete -o default -F _alfred_completion alfred
