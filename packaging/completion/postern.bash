# Completion of postern(1) for bash: commands, their actions, their options.
# Install as /usr/share/bash-completion/completions/postern.

_postern_words() {
	case $1 in
		'') echo 'serve check why user alias group grants pop queue trace send explain doctor dns blocklist relaytest --help --version' ;;
		serve) echo '-c --help' ;;
		check) echo '-c --live --json --help' ;;
		why) echo '-c --client --proxy --local --listener --tls --user --app-password --mechanism --certificate --local-user --popped --listed --retried --helo
			--from --to --header-from --sender-header --reply-to --size --recipients --sent --probe --at
			--offline --json --batch --from-fields --help' ;;
		user) echo 'add passwd list show remove disable enable allow-sender deny-sender forward vacation import
			app-password allow-certificate deny-certificate
			-c --as --json --password-stdin --hash-stdin --no-password --keep-copy --text-stdin --subject --from --until --reversible --service --sender --network
			--help' ;;
		alias) echo 'add list show remove -c --as --password-stdin --json --help' ;;
		grants) echo 'list resume -c --all --json --help' ;;
		pop) echo 'open close list -c --all --json --help' ;;
		group) echo 'add list show remove add-member remove-member set -c --as --password-stdin --json --stdin --help' ;;
		queue) echo 'list show retry hold release bounce remove stats
			-c --sender --recipient --domain --next-hop --state --older --newer --all --as
			--password-stdin --json --help' ;;
		trace) echo '-c --as --password-stdin --json --help' ;;
		dns) echo '-c --publish --verify --selector --only-selectors --connect --port --no-fetch --sts-connect --ca --all --dns --timeout
			--json --help' ;;
		blocklist) echo '--only --with --mx --all --list --lists --dns --timeout --json --help' ;;
		explain) echo 'list --json --each --list --rules --command --step --host --to --code --live --client --from --dns --help' ;;
		doctor) echo '--server -s --port -p --ports --socket --mx --all-mx -4 -6 --source --local-interface -li --helo --ehlo --from
			-f --to -t --tls -tls --tls-on-connect -tlsc --tls-name --ca --user -au --auth-user --auth -a --password-stdin
			--password-file --password-env --token-file -ap --allow-plain --send --header --body --attach --data
			--quit-after -q --pipeline --xclient --proxy-protocol --lmtp --no-probes --foreign --hosted --no-tls-look
			--timeout --time --dns --json --verbose -v --quiet --help' ;;
		relaytest) echo '--to --from --send-to --seen-in --listen --wait --messages --port --name --domain --helo --source --tls --no-tls --lmtp
			-4 -6 --pause --timeout --deadline --connections --dns --verbose --json --help' ;;
		send) echo '-c --from --name --header-recipients --notify --return --envid --verbose --help' ;;
	esac
}

# Values that can be told beforehand.
_postern_values() {
	case $1 in
		--command | --step) echo 'connect banner EHLO STARTTLS AUTH MAIL RCPT DATA end' ;;
		--state) echo 'due deferred held' ;;
		--return) echo 'full hdrs' ;;
		--notify) echo 'never success failure delay success,failure,delay' ;;
		--mechanism) echo 'SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN' ;;
	esac
}

_postern() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=
	COMPREPLY=()
	if [ "$COMP_CWORD" -gt 1 ]; then
		command=${COMP_WORDS[1]}
	fi
	case $before in
		-c | --rules)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		--state | --return | --notify | --mechanism | --command | --step)
			mapfile -t COMPREPLY < <(compgen -W "$(_postern_values "$before")" -- "$word")
			return
			;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$(_postern_words "$command")" -- "$word")
}

complete -F _postern postern
