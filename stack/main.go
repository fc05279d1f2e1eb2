// Command stack is Cloakroom in one process on one machine: gateway, auth service and files service, SQLite and local disk,
// everything in one folder. It calls the same New as the three programs do; only listeners and the folder of resources
// differ: the gateway reaches its services by connections in memory.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	authsvc "cloakroom.dev/auth-svc"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

func main() {
	admit.Main()
	authsvc.HelpHashing()
	run.Main("stack", "Cloakroom in one process: gateway, auth-svc and files-svc over SQLite and local disk.",
		run.Command{Name: "serve", Summary: "serve until SIGTERM: serve [--data DIR] [--port N] [--ops-port N] [--config DIR]", Run: serveCommand, UntilStopped: true},
		run.Command{Name: "backup", Summary: "copy everything while it serves: backup --to DIR [--data DIR]", Run: backupCommand},
	)
}

// options are the command line; the environment gives the defaults, for `make run`.
type options struct {
	data   string
	port   string
	ops    string // port of the ops listener
	config string
	level  slog.Level
}

const serveUsage = `Serves Cloakroom on http://localhost:PORT until it is told to stop. The first start makes what is missing: the
databases, the keys, the first admin (see DATA_DIR/bootstrap.json) and the resources in DATA_DIR/config, yours to edit.`

func serveCommand(ctx context.Context, args []string, to run.IO) error {
	var o options
	fs := run.Flags("serve", serveUsage, to)
	fs.StringVar(&o.data, "data", env("DATA_DIR", ".data"), "folder for everything that is kept (environment: DATA_DIR)")
	fs.StringVar(&o.port, "port", env("PORT", ""), "port of the gateway; 0 takes a free one (environment: PORT; default: as GatewayConfig says)")
	fs.StringVar(&o.ops, "ops-port", env("OPS_PORT", ""), "port of health and metrics on 127.0.0.1 (environment: OPS_PORT; default: a free one)")
	fs.StringVar(&o.config, "config", env("CONFIG_DIR", ""), "folder of resources (environment: CONFIG_DIR; default: DATA_DIR/config, made at the first start)")
	fs.TextVar(&o.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := run.ParseFlags(fs, args, 0, 0); err != nil {
		return err
	}
	for _, port := range []string{o.port, o.ops} {
		if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 0 || n > 65535) {
			return fmt.Errorf("%w: a port is a number from 0 to 65535, not %q", run.ErrUsage, port)
		}
	}
	return serve(ctx, o, to)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
