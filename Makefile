COMMANDS = build deps demo check e2e asan tsan torture fuzz soak bench bare fmt lint docs install clean help
.PHONY: $(COMMANDS)
$(COMMANDS): ; @./dev $@
