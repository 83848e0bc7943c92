package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/server"
)

func serveCommand() *cobra.Command {
	var f configFlags
	var link string
	c := &cobra.Command{
		Use: "serve", Short: "Always on: take evidence in, tell people of attacks within seconds", Args: cobra.NoArgs,
		Long: "Takes evidence in over HTTP, syslog, OTLP and files, keeps it on disk before it says so, and fuses it as it comes.\n" +
			"Incidents are to be had by the API, and those who should know are told. The first start prints a one-time link for\n" +
			"the administrator and a token with which evidence can be sent. docs/serve.md says more; catena config example\n" +
			"prints every setting. SIGHUP reads the configuration and the rules again.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load(c.ErrOrStderr())
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			log := logOf(cfg.Log, level, c.ErrOrStderr())
			quiet, _ := c.Flags().GetBool("quiet")
			o := app.ServiceOptions{Config: cfg, Version: version, Log: log, LinkFor: link}
			if !quiet {
				o.Welcome = func(w app.Welcome) { welcome(c.OutOrStdout(), w) }
			}
			s, err := app.NewService(c.Context(), o)
			if err != nil {
				return err
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			done := make(chan struct{})
			go func() {
				for {
					select {
					case <-done:
						return
					case <-hup:
						next, err := config.Load(f.file, os.Environ(), f.sets)
						if err != nil {
							log.Error("the configuration was not taken over", "cause", err)
							continue
						}
						setLevel(level, next.Log.Level)
						taken, restart, err := s.Reload(c.Context(), next)
						if err != nil {
							log.Error("the configuration was not taken over", "cause", err)
							continue
						}
						log.Info("the configuration was read again", "taken", strings.Join(taken, " "), "needs_restart", strings.Join(restart, " "))
					}
				}
			}()
			err = s.Run(c.Context())
			close(done)
			return errors.Join(err, s.Close())
		},
	}
	f.register(c)
	c.Flags().StringVar(&link, "link", "", "print a one-time link for the account of that `NAME` at the start: the way back in")
	return c
}

func mcpCommand() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use: "mcp", Short: "Let an assistant ask a running catena serve, over standard input and output", Args: cobra.NoArgs,
		Long: "Speaks the Model Context Protocol and passes it on to the server. The token stands in the environment variable\nCATENA_TOKEN; make one with the scopes mcp:read and incidents:read. What the assistant wants changed is a proposal\nuntil a person settles it.",
		RunE: func(c *cobra.Command, _ []string) error {
			return server.ServeStdio(c.Context(), os.Stdin, os.Stdout, url, os.Getenv("CATENA_TOKEN"), nil)
		},
	}
	c.Flags().StringVar(&url, "url", "http://127.0.0.1:8440", "`URL` of the server")
	return c
}

func setLevel(v *slog.LevelVar, name string) {
	_ = v.UnmarshalText([]byte(name)) // one of those the configuration allows
}

// logOf logs to w; text of others in it is made safe to show.
func logOf(c config.Log, level *slog.LevelVar, w io.Writer) *slog.Logger {
	setLevel(level, c.Level)
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() { //nolint:exhaustive // the others are ours
		case slog.KindString:
			a.Value = slog.StringValue(report.Clean(a.Value.String()))
		case slog.KindAny:
			if err, ok := a.Value.Any().(error); ok {
				a.Value = slog.StringValue(report.Clean(err.Error()))
			}
		}
		return a
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// welcome says how to begin.
func welcome(w io.Writer, x app.Welcome) {
	fmt.Fprintf(w, "Catena is ready at %s\n", x.URL)
	if x.Link != "" {
		fmt.Fprintf(w, "\n  First log-in, once:  %s\n", x.Link)
	}
	if x.Token != "" {
		insecure := ""
		if strings.HasPrefix(x.URL, "https:") {
			insecure = "-k "
		}
		fmt.Fprintf(w, "\n  Send evidence:       curl %s-H 'Authorization: Bearer %s' --data-binary @FILE %s/ingest/push\n", insecure, x.Token, x.URL)
	}
	if x.Link != "" || x.Token != "" {
		fmt.Fprintln(w, "\nBoth are shown this once. docs/serve.md tells how to go on.")
	}
}
