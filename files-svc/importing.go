package filessvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/files-svc/internal/adapter/importfiles"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/run"
)

// importing is one run of the command.
type importing struct {
	importFlags
	to     run.IO
	log    *slog.Logger
	core   *files.Service
	list   importfiles.List
	folder *importfiles.Folder
	owners importfiles.Owners

	mu     sync.Mutex // guards what follows
	counts importCounts
	report *os.File
	told   time.Time
}

type importCounts struct {
	Files   int64 `json:"files"` // of the list
	Created int64 `json:"created"`
	Present int64 `json:"present"` // had come in before
	Refused int64 `json:"refused"`
	Bytes   int64 `json:"bytes"` // of those created
}

// refusal is a line of the report.
type refusal struct {
	Line    int64         `json:"line"`
	ID      string        `json:"id,omitempty"`
	Reasons []fault.Field `json:"reasons"`
}

func (i *importing) run(ctx context.Context) error {
	began := time.Now()
	i.told = began
	if err := os.Remove(i.refused); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("begin the report of refused files: %w", err)
	}
	err := i.all(ctx)
	if i.report != nil {
		err = errors.Join(err, i.report.Sync(), i.report.Close())
	}
	if printErr := i.print(err == nil, time.Since(began)); printErr != nil {
		return errors.Join(err, printErr)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("stopped; the same command goes on from there")
	case err != nil:
		return fmt.Errorf("%w; the same command goes on from there", err)
	case i.counts.Refused > 0:
		return run.ErrPartial
	default:
		return nil
	}
}

// all reads the list and has some of its files brought in at a time. Beside them the core runs, as in the service: it keeps
// the lease that says that this process still writes, and in the end gives it back.
func (i *importing) all(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	lease := make(chan error, 1)
	go func() { lease <- i.core.Run(running) }()
	group, ctx := errgroup.WithContext(ctx)
	items := make(chan importfiles.Item)
	group.Go(func() error {
		defer close(items)
		for {
			item, err := i.list.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			select {
			case items <- item:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	for range i.parallel {
		group.Go(func() error {
			for item := range items {
				if err := i.one(ctx, item); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	stop()
	return errors.Join(err, <-lease)
}

// A store may be busy for a moment, or this process have been taken for dead while the machine slept.
const (
	importTries = 5
	importPause = time.Second
)

// one brings one file in. The error ends the import; what is wrong with the file is in the report.
func (i *importing) one(ctx context.Context, item importfiles.Item) error {
	for try := 1; ; try++ {
		size, err := i.bring(ctx, item)
		if errors.Is(err, fault.Of(fault.Unavailable)) && try < importTries {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(importPause):
			}
			continue
		}
		return i.settle(ctx, item, size, err)
	}
}

// bring returns the bytes that came in.
func (i *importing) bring(ctx context.Context, item importfiles.Item) (size int64, err error) {
	if len(item.Bad) > 0 {
		return 0, fault.Validation(item.Bad...)
	}
	owner, err := i.ownerOf(item)
	if err != nil {
		return 0, err
	}
	ctx = principal.With(ctx, principal.Principal{UserID: string(owner), Permissions: []principal.Permission{
		{Resource: "files", Action: "create", Scope: principal.Self},
	}})
	from := files.Foreign{Source: i.source, ID: item.ID, CreatedAt: item.CreatedAt}
	nf := files.NewFile{Name: item.Name, ContentType: item.ContentType, Size: item.Size}
	if item.SHA256 != "" {
		digest, ok := files.ParseDigest(item.SHA256)
		if !ok {
			return 0, badField("sha256", "INVALID", "must be 64 digits of hex")
		}
		nf.Digest = &digest
	}
	if err := i.core.CheckImport(ctx, owner, from, nf); err != nil {
		return 0, err
	}
	file, size, err := i.folder.Open(item.Path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if item.Size >= 0 && item.Size != size {
		return 0, badField("size", "MISMATCH", fmt.Sprintf("is %d in the list, and %d in the folder", item.Size, size))
	}
	if nf.Size = size; i.dryRun {
		return size, i.core.CheckImport(ctx, owner, from, nf)
	}
	f, err := i.core.Import(ctx, owner, from, nf, file)
	return f.Size, err
}

// ownerOf finds whose a file is.
func (i *importing) ownerOf(item importfiles.Item) (files.OwnerID, error) {
	there, here := item.Owner, item.UserID
	if there == "" && here == "" {
		if there = i.owner; i.owner == "" {
			return "", badField("owner", "REQUIRED", "the list gives the file to nobody; say --owner")
		}
		if _, known := i.owners[there]; !known {
			there, here = "", i.owner
		}
	}
	if there != "" {
		if here = i.owners[there]; here == "" {
			return "", badField("owner", "UNKNOWN", "is not in the map: the person has not come in")
		}
	}
	id, err := uuid.Parse(here)
	if err != nil || id.String() != here {
		return "", badField("user_id", "INVALID", "is not the id of a person here")
	}
	return files.OwnerID(here), nil
}

func badField(field, code, detail string) error {
	return fault.Validation(fault.Field{Field: field, Code: code, Detail: detail})
}

// settle counts what has become of a file, and reports it.
func (i *importing) settle(ctx context.Context, item importfiles.Item, size int64, err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var f *fault.Error
	switch {
	case err == nil:
		i.counts.Created++
		i.counts.Bytes += size
	case ctx.Err() != nil, !errors.As(err, &f):
		return err
	case f.Kind == fault.Conflict:
		i.counts.Present++
	case f.Kind == fault.Internal, f.Kind == fault.Unavailable, f.Kind == fault.StorageFull:
		return err
	default:
		i.counts.Refused++
		if err := i.refuse(item, f); err != nil {
			return fmt.Errorf("write the report of refused files: %w", err)
		}
	}
	i.counts.Files++
	if time.Since(i.told) >= progressEvery {
		i.told = time.Now()
		i.log.InfoContext(ctx, "importing files", "files", i.counts.Files, "created", i.counts.Created, "refused", i.counts.Refused, "bytes", i.counts.Bytes)
	}
	return nil
}

// refuse writes a line of the report, which begins with the first.
func (i *importing) refuse(item importfiles.Item, f *fault.Error) (err error) {
	if i.report == nil {
		// For its owner alone: it says what people have.
		if i.report, err = os.OpenFile(i.refused, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	reasons := f.Fields
	if len(reasons) == 0 {
		reasons = []fault.Field{{Field: "file", Code: refusalCode(f.Kind), Detail: f.Detail}}
	}
	return json.NewEncoder(i.report).Encode(refusal{Line: item.Line, ID: item.ID, Reasons: reasons})
}

// refusalCode is the closed set of words for a refusal that is about no single field.
func refusalCode(kind fault.Kind) string {
	switch kind {
	case fault.QuotaExceeded:
		return "QUOTA_EXCEEDED"
	case fault.TooLarge:
		return "TOO_LARGE"
	case fault.UnsupportedMediaType:
		return "UNSUPPORTED_MEDIA_TYPE"
	case fault.DigestMismatch:
		return "DIGEST_MISMATCH"
	case fault.Forbidden:
		return "OWNER_ERASED"
	default:
		return "INVALID"
	}
}

// importedJSON is the result for programs.
type importedJSON struct {
	Source string `json:"source"`
	DryRun bool   `json:"dry_run"`
	Done   bool   `json:"done"`
	importCounts
	Report       *string `json:"report"`
	Milliseconds int64   `json:"took_ms"`
}

func (i *importing) print(done bool, took time.Duration) error {
	out := importedJSON{Source: i.source, DryRun: i.dryRun, Done: done, importCounts: i.counts, Milliseconds: took.Milliseconds()}
	if i.report != nil {
		out.Report = &i.refused
	}
	if i.output == "json" {
		return json.NewEncoder(i.to.Stdout).Encode(out)
	}
	verb := "imported"
	if i.dryRun {
		verb = "would be imported"
	}
	_, err := fmt.Fprintf(i.to.Stdout, "%d files %s, %d bytes; %d there before, %d refused; %d files from %s in %s\n",
		out.Created, verb, out.Bytes, out.Present, out.Refused, out.Files, out.Source, took.Round(time.Millisecond))
	if err == nil && out.Report != nil {
		_, err = fmt.Fprintf(i.to.Stdout, "what was left out and why: %s\n", *out.Report)
	}
	return err
}
