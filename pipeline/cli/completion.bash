# Completion of i2p, printed by `i2p completion bash`. Commands, options and parameters stand in here, so that a
# completion starts no Python; print it again after an update.

_i2p_options() {  # of a command
    case "$1" in
@OPTIONS@
    esac
}

_i2p_words() {  # that may follow a command
    case "$1" in
@WORDS@
    esac
}

_i2p_values() {  # of a parameter or an option that has choices
    case "$1" in
@VALUES@
    esac
}

_i2p_settings='@SETTINGS@'

_i2p() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" named i
    # bash breaks words at `=`: `--set train.schedule=c` is four of them
    if [[ $current == "=" ]]; then
        named=$before current=""
    elif [[ $before == "=" ]]; then
        named="${COMP_WORDS[COMP_CWORD-2]}"
    else
        named=$before
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { command="${COMP_WORDS[i]}"; break; }
    done
    COMPREPLY=()
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W '@COMMANDS@ --help --version' -- "$current"))
    elif [[ $named == --preset ]]; then
        COMPREPLY=($(compgen -W '@PRESETS@' -- "$current") $(compgen -f -X '!*.y*ml' -- "$current"))
    elif [[ $named == --values ]]; then
        COMPREPLY=($(compgen -f -X '!*.y*ml' -- "$current"))
    elif [[ $named == --set ]]; then
        COMPREPLY=($(compgen -W "$_i2p_settings" -- "$current"))
        type compopt > /dev/null 2>&1 && compopt -o nospace 2> /dev/null
    elif [[ $named == *.* || $named == --* || $before == "=" ]]; then
        COMPREPLY=($(compgen -W "$(_i2p_values "$named")" -- "$current"))
    fi
    if [[ -n $command && ${#COMPREPLY[@]} -eq 0 ]]; then
        if [[ $current == -* ]]; then
            COMPREPLY=($(compgen -W "$(_i2p_options "$command")" -- "$current"))
        elif [[ $before == "$command" ]]; then
            COMPREPLY=($(compgen -W "$(_i2p_words "$command")" -- "$current"))
        fi
    fi
}

complete -o bashdefault -o default -F _i2p i2p
