package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Bounds of a connection. Bodies have no deadline here, since a large file over a thin line takes its time: handlers that
// read or write bodies hold a minimum rate instead.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
)

// NewServer makes an http.Server with the house's bounds.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // `OPTIONS *` goes through Edge like everything else
		// At debug: everything that ends here (bad handshakes, cut connections) is the doing of a client, at its rate.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
