package httpapi

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

const (
	// exportsAtATime bounds the exports that are packed: each keeps what it packs, and an entry of the ZIP, until its end.
	exportsAtATime = 4
	exportsOfOne   = 1 // of one person
	// maxPacked is how many contents are packed into one export at most; what is kept of so many is some 40 MB.
	maxPacked = 50_000
)

// Account opens what the auth service holds about the caller of a request: one JSON object, ending in a line break.
type Account func(r *http.Request) (io.ReadCloser, error)

// export is GET /v1/users/me/export: everything held about the caller as one JSON document, that of the auth service with the
// files added to it. With files=1 it is a ZIP of the document and all contents. Both are made while they are sent; when
// something fails on the way the connection is cut, and what has come is neither JSON nor a ZIP.
func (a *api) export(w http.ResponseWriter, r *http.Request) error {
	packed, err := wantsPacked(r)
	if err != nil {
		return err
	}
	usage, err := a.files.Usage(r.Context(), owner(r.Context())) // the right to read files is asked here, before the first byte
	if err != nil {
		return err
	}
	e := &exporter{api: a, ctx: r.Context(), owner: owner(r.Context()), packed: packed}
	if packed {
		if usage.Versions > maxPacked {
			return fault.New(fault.TooLarge, fmt.Sprintf("more than %d contents: take the export without files=1, and pack the files it lists by /v1/files/archive", maxPacked))
		}
		leave, err := a.exports.take(owner(r.Context()))
		if err != nil {
			return err
		}
		defer leave()
	}
	account, err := a.account(r)
	if err != nil {
		return err
	}
	defer func() { _ = account.Close() }() // only read from
	e.account = account
	return a.sendExport(w, r, e)
}

func wantsPacked(r *http.Request) (packed bool, err error) {
	var bad fault.Bad
	for _, name := range web.QueryNames(r) {
		switch values := r.URL.Query()[name]; {
		case name != "files":
			unknownParameter(name, &bad)
		case len(values) != 1 || values[0] != "1":
			bad.Refuse(name, "INVALID", "must be 1, once, or left out")
		default:
			packed = true
		}
	}
	return packed, bad.Err()
}

func (a *api) sendExport(w http.ResponseWriter, r *http.Request, e *exporter) error {
	name, kind := "cloakroom-export.json", "application/json"
	if e.packed {
		name, kind = "cloakroom-export.zip", "application/zip"
	}
	describeMade(w.Header(), name, kind)
	a.metrics.downloading.Inc()
	l, release := hold(r.Context(), http.NewResponseController(w).SetWriteDeadline)
	out := &pacedWriter{w: w, next: a.writing(l)}
	var err error
	if e.packed {
		err = e.pack(out)
	} else {
		err = e.document(out)
	}
	release()
	a.metrics.downloading.Dec()
	a.metrics.downloadedBytes.Add(float64(out.bytes))
	a.metrics.downloads.WithLabelValues(sendResult(err)).Inc()
	return err
}

// exporter writes one export.
type exporter struct {
	*api
	ctx     context.Context // of the request: documents and ZIPs are written by plain io.Writers
	owner   files.OwnerID
	account io.Reader
	packed  bool // tell where contents lie in the ZIP

	contents []packedContent // that the document tells of: these are packed, as they were then, whatever comes or goes meanwhile
}

type packedContent struct {
	path string
	file files.File // at one of its versions
}

// exportedFile is a file as an export shows it.
type exportedFile struct {
	fileBody
	Path  string            `json:"path,omitempty"` // in the ZIP
	Older []exportedVersion `json:"older_versions"`
	Links []linkBody        `json:"links"`
}

type exportedTrash struct {
	trashedBody
	Path  string            `json:"path,omitempty"`
	Older []exportedVersion `json:"older_versions"`
}

type exportedVersion struct {
	versionBody
	Path string `json:"path,omitempty"`
}

// Where contents lie in the ZIP.
const (
	filesFolder = "files"
	trashFolder = "trash"

	versionsFolder = "versions" // of one file
)

// document writes the JSON: the account's object goes on with files and trash.
func (e *exporter) document(w io.Writer) error {
	if err := copyUnclosed(w, e.account); err != nil {
		return err
	}
	rows := &rowWriter{w: w}
	rows.begin(`,"files":[`)
	if err := e.eachFile(func(f files.File) error {
		row, err := e.describeFile(f)
		if err != nil {
			return err
		}
		return rows.add(row)
	}); err != nil {
		return err
	}
	rows.begin(`],"trash":[`)
	if err := e.eachTrashed(func(t files.Trashed) error {
		path, err := e.place(filePath(trashFolder, t.File), t.File)
		if err != nil {
			return err
		}
		older, err := e.describeOlder(trashFolder, t.File)
		if err != nil {
			return err
		}
		return rows.add(exportedTrash{trashedBody: trashedBodyOf(t), Path: path, Older: older})
	}); err != nil {
		return err
	}
	rows.begin("]}\n")
	return rows.err
}

func (e *exporter) describeFile(f files.File) (row exportedFile, err error) {
	row = exportedFile{fileBody: bodyOf(f), Links: []linkBody{}}
	if row.Path, err = e.place(filePath(filesFolder, f), f); err != nil {
		return row, err
	}
	if row.Older, err = e.describeOlder(filesFolder, f); err != nil {
		return row, err
	}
	links, err := e.files.Links(e.ctx, e.owner, f.ID)
	if isGone(err) {
		return row, nil
	}
	for _, l := range links {
		row.Links = append(row.Links, linkBodyOf(l))
	}
	return row, err
}

func (e *exporter) describeOlder(folder string, f files.File) (rows []exportedVersion, err error) {
	rows = []exportedVersion{}
	older, err := e.older(f)
	if err != nil {
		return nil, err
	}
	for _, v := range older {
		path, err := e.place(versionPath(folder, f, v), f.At(v))
		if err != nil {
			return nil, err
		}
		rows = append(rows, exportedVersion{versionBody: versionBodyOf(v), Path: path})
	}
	return rows, nil
}

// place has a content packed and returns where it will lie; nowhere when contents are not packed, or this one is flawed.
func (e *exporter) place(path string, f files.File) (string, error) {
	if !e.packed || f.Flaw != files.FlawNone {
		return "", nil
	}
	if len(e.contents) == maxPacked {
		return "", errors.New("more contents have come than are packed")
	}
	f.Metadata = nil // not needed, and may be long
	e.contents = append(e.contents, packedContent{path, f})
	return path, nil
}

// isGone tells a file that was deleted since it was listed: nothing is held of it any more.
func isGone(err error) bool { return errors.Is(err, fault.Of(fault.NotFound)) }

// eachFile calls fn for each file outside the trash, the oldest first: that order stays whatever changes meanwhile.
func (e *exporter) eachFile(fn func(files.File) error) error {
	q := files.ListQuery{Sort: files.SortOldest, Limit: files.MaxLimit, Expired: true}
	for {
		page, err := e.files.List(e.ctx, e.owner, q)
		if err != nil {
			return err
		}
		for _, f := range page.Files {
			if err := fn(f); err != nil {
				return err
			}
		}
		if page.Next == nil {
			return nil
		}
		q.After = page.Next
	}
}

func (e *exporter) eachTrashed(fn func(files.Trashed) error) error {
	for after := (*files.TrashPlace)(nil); ; {
		page, err := e.files.Trash(e.ctx, e.owner, after, files.MaxLimit)
		if err != nil {
			return err
		}
		for _, t := range page.Files {
			if err := fn(t); err != nil {
				return err
			}
		}
		if after = page.Next; after == nil {
			return nil
		}
	}
}

// older lists the versions of f that are kept beside the current one; there are at most as many as policy keeps.
func (e *exporter) older(f files.File) ([]files.Version, error) {
	if f.Version < 2 {
		return nil, nil
	}
	older, err := e.files.OlderVersions(e.ctx, e.owner, f.ID)
	if isGone(err) {
		return nil, nil
	}
	return older, err
}

// pack writes the ZIP: the document, and behind it the contents it tells of. Each is checked on the way.
func (e *exporter) pack(out *pacedWriter) error {
	p := &packer{api: e.api, ctx: e.ctx, out: out}
	z := newZIP(out)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "export.json", Modified: e.now().UTC(), Method: zip.Deflate})
	if err != nil {
		return fmt.Errorf("begin document in export: %w", err)
	}
	if err := e.document(w); err != nil {
		return err
	}
	for _, c := range e.contents {
		opened, err := e.files.OpenListed(e.ctx, e.owner, c.file)
		if err := p.addOpened(z, c.path, opened, err); err != nil {
			return err
		}
	}
	return p.finish(z)
}

// addOpened packs a content that has been opened, unless it was deleted since it was listed.
func (p *packer) addOpened(z *zip.Writer, name string, c *files.Content, err error) error {
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it has been read to its end, or failed
	return p.add(z, name, c)
}

// Ids in paths keep apart what has the same name, without a list of all names.
func filePath(folder string, f files.File) string {
	name := files.SafeName(f.Name)
	if strings.EqualFold(name, versionsFolder) { // no file can lie where its older versions have their folder
		name = "_" + name
	}
	return folder + "/" + string(f.ID) + "/" + name
}

func versionPath(folder string, f files.File, v files.Version) string {
	return fmt.Sprintf("%s/%s/%s/%d/%s", folder, f.ID, versionsFolder, v.Number, files.SafeName(f.Name))
}

// rowWriter writes arrays of JSON, row by row, until a write fails.
type rowWriter struct {
	w         io.Writer
	separator string
	err       error
}

// begin writes what stands before the next rows.
func (r *rowWriter) begin(text string) {
	r.separator = ""
	if r.err == nil {
		_, r.err = io.WriteString(r.w, text)
	}
}

func (r *rowWriter) add(row any) error {
	if r.err != nil {
		return r.err
	}
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	_, r.err = r.w.Write(append([]byte(r.separator), b...))
	r.separator = ","
	return r.err
}

// closing is how an account's document ends.
var closing = []byte("}\n")

// copyUnclosed copies a JSON object up to its last brace, so that it can go on. A document that ends elsewhere is an error.
func copyUnclosed(w io.Writer, r io.Reader) error {
	buf, held := make([]byte, 16<<10), 0
	for {
		n, err := r.Read(buf[held:])
		n += held
		held = min(n, len(closing))
		if _, err := w.Write(buf[:n-held]); err != nil {
			return err
		}
		copy(buf, buf[n-held:n])
		switch {
		case errors.Is(err, io.EOF) && bytes.Equal(buf[:held], closing):
			return nil
		case err != nil:
			return fmt.Errorf("the account's document breaks off: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
}
