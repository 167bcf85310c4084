# Completion of alfred for fish. The program itself says what can follow.
function __alfred_complete
    set -l word (commandline -ct)
    set -l program (commandline -opc)[1]
    # What stands before the value of --option=value stays as it is.
    set -l opening (string match -r -- '^--[^=]+=' $word)
    set -l found (_ALFRED_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS=(commandline -cp | string collect) $program 2>/dev/null | string match -r '.+')
    if test -n "$found"
        printf '%s\n' "$opening"$found
    else
        __fish_complete_path $word
    end
end

complete --command alfred --no-files --arguments '(__alfred_complete)'
