#include <errno.h>
#include <string.h>

#include "injector/commands.h"

/* Each script hands the words of the line to "podgraft __complete" and shows what comes back. Bash
 * ends words at '=' and ':', so it gets candidates without the part before the last of those. */
static const char bash_script[] =
	"# podgraft completion for bash: source <(podgraft completion bash)\n"
	"_podgraft() {\n"
	"    local line=${COMP_LINE:0:COMP_POINT} words out last cut candidate\n"
	"    read -ra words <<<\"$line\"\n"
	"    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"    last=${words[${#words[@]} - 1]}\n"
	"    out=$(\"${words[0]}\" __complete \"${words[@]:1}\" 2>/dev/null) || return\n"
	"    cut=${last%\"${last##*[=:]}\"}\n"
	"    COMPREPLY=()\n"
	"    while IFS=$'\\t' read -r candidate _; do\n"
	"        case $candidate in\n"
	"        :0) compopt -o default ;;\n"
	"        :*) ;;\n"
	"        *) COMPREPLY+=(\"${candidate#\"$cut\"}\") ;;\n"
	"        esac\n"
	"    done <<<\"$out\"\n"
	"}\n"
	"complete -F _podgraft podgraft\n";

static const char zsh_script[] =
	"#compdef podgraft\n"
	"# podgraft completion for zsh: source <(podgraft completion zsh)\n"
	"_podgraft() {\n"
	"    local -a lines described\n"
	"    local line\n"
	"    lines=(\"${(@f)$(podgraft __complete \"${(@)words[2,$CURRENT]}\" 2>/dev/null)}\")\n"
	"    for line in $lines; do\n"
	"        case $line in\n"
	"        :0) _files ;;\n"
	"        :*) ;;\n"
	"        *) described+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
	"        esac\n"
	"    done\n"
	"    (( $#described )) && _describe podgraft described\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _podgraft ]; then _podgraft; else compdef _podgraft podgraft; "
	"fi\n";

static const char fish_script[] =
	"# podgraft completion for fish: podgraft completion fish | source\n"
	"function __podgraft_complete\n"
	"    set -l words (commandline -opc) (commandline -ct)\n"
	"    set -l lines (podgraft __complete $words[2..-1] 2>/dev/null)\n"
	"    for line in $lines\n"
	"        switch $line\n"
	"            case :0\n"
	"                __fish_complete_path (commandline -ct)\n"
	"            case ':*'\n"
	"            case '*'\n"
	"                echo $line\n"
	"        end\n"
	"    end\n"
	"end\n"
	"complete -c podgraft -f -a '(__podgraft_complete)'\n";

static const char *const shells[] = { "bash", "zsh", "fish", NULL };
static const char *const scripts[] = { bash_script, zsh_script, fish_script };

static int run_completion(struct pg_app *app, void *values, const struct pg_operands *ops,
			  struct pg_err *err)
{
	(void)values;
	for (size_t i = 0; shells[i]; i++) {
		if (strcmp(shells[i], ops->items[0]) != 0)
			continue;
		pg_output_text(&app->out, scripts[i]);
		return 0;
	}
	pg_fail(err, -EINVAL, "no completion for '%s'", ops->items[0]);
	return pg_hint(err, PG_USER, "there is one for bash, zsh and fish: %s completion bash",
		       app->program);
}

const struct pg_command pg_cmd_completion = {
	.name = "completion",
	.operands = "bash|zsh|fish",
	.summary = "Print a script that completes commands and options in a shell",
	.details = "Put the line for your shell into its start-up file. kubectl completes 'kubectl "
		   "podgraft' by itself where kubectl_complete-podgraft is on PATH.",
	.examples = "source <(podgraft completion bash)\n"
		    "source <(podgraft completion zsh)\n"
		    "podgraft completion fish | source",
	.words = shells,
	.least = 1,
	.most = 1,
	.run = run_completion,
};

static int run_complete(struct pg_app *app, void *values, const struct pg_operands *ops,
			struct pg_err *err)
{
	struct pg_buf out = PG_BUF_INIT(64 << 10);
	(void)values;
	int rc = pg_cli_complete(ops->items, ops->count, &out);
	if (rc == 0)
		pg_output_text(&app->out, pg_buf_str(&out));
	pg_buf_fini(&out);
	return rc < 0 ? pg_fail(err, rc, "complete the line") : 0;
}

const struct pg_command pg_cmd_complete = {
	.name = "__complete",
	.operands = "[WORD...]",
	.least = 0,
	.most = -1,
	.takes_raw = true,
	.run = run_complete,
};
