// Package maillog is the mailer of development: mails become .eml files in a folder, and the ops port shows them, newest
// first. Nothing leaves the machine. Whoever can read the folder or the page can use the links.
package maillog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/message"
)

// keep is how many mails stay; older ones are deleted as new ones come.
const keep = 200

// Mailer writes mails to files. It is safe for concurrent use.
type Mailer struct {
	folder string
	from   string

	mu     sync.Mutex
	recent []identity.Mail // newest first, for the page; the files of former runs are not read again
}

var _ identity.Mailer = (*Mailer)(nil)

// New makes the folder.
func New(folder, from string) (*Mailer, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for mails: %w", err)
	}
	return &Mailer{folder: folder, from: from}, nil
}

// Send writes one file, named by time and id, so that names sort as mails came.
func (m *Mailer) Send(_ context.Context, letter identity.Mail) error {
	msg, err := message.New(m.from, letter)
	if err != nil {
		return err
	}
	if letter.ID == "" || strings.ContainsAny(letter.ID, `/\.`) {
		return fault.New(fault.Invalid, "a mail's id can't be a file name")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Join(m.folder, letter.At.UTC().Format("20060102T150405.000000Z")+"-"+letter.ID+".eml")
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	_, err = msg.WriteTo(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	m.recent = slices.Insert(m.recent, 0, letter)
	m.recent = m.recent[:min(len(m.recent), keep)]
	return m.prune()
}

// prune deletes the oldest files.
func (m *Mailer) prune() error {
	entries, err := os.ReadDir(m.folder)
	if err != nil {
		return fmt.Errorf("list mails: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) != ".eml" })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, e := range entries[:max(0, len(entries)-keep)] {
		if err := os.Remove(filepath.Join(m.folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete an old mail: %w", err)
		}
	}
	return nil
}

// page shows mails, newest first.
func page(mails []identity.Mail) g.Node {
	articles := g.Map(mails, func(m identity.Mail) g.Node {
		return h.Article(
			h.H2(g.Text(m.Subject)),
			h.P(g.Text("to "), h.B(g.Text(m.To)), g.Text(", "+m.At.Format("2006-01-02 15:04:05")+" UTC")),
			h.Pre(g.Text(m.Text)),
		)
	})
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text("Mail"))),
		h.Body(
			h.H1(g.Text("Mail, newest first")), articles,
			g.If(len(mails) == 0, h.P(g.Text("No mail has been sent since the start."))),
		),
	))
}

// ServeHTTP shows the mails of this run.
func (m *Mailer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	mails := slices.Clone(m.recent)
	m.mu.Unlock()
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	_ = page(mails).Render(w) // the reader has gone, or the page is whole
}
