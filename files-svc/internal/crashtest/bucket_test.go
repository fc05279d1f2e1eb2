package crashtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/crashtest"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/pgtest"
	pg "cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/s3test"
	"cloakroom.dev/libs/secret"
)

// place is where the rows and bytes of a folder of the matrix are: a database, and a prefix of a bucket. The child reads it.
type place struct {
	DSN, Endpoint, Bucket, Access, Secret, Prefix string
}

const placeFile = "place.json"

func placeOf(folder string) (p place, err error) {
	raw, err := os.ReadFile(filepath.Join(folder, placeFile))
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	return p, err
}

func (p place) save(folder string) error {
	raw, err := json.Marshal(p)
	return errors.Join(err, os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, placeFile), raw, 0o600))
}

func (p place) store() s3test.Bucket {
	return s3test.Bucket{Endpoint: p.Endpoint, Name: p.Bucket, AccessKey: secret.NewString(p.Access), SecretKey: secret.NewString(p.Secret)}
}

// shared is a store whose rows are in PostgreSQL and whose bytes are in a bucket. first is where its world is; the child, which
// makes none, leaves it empty.
func shared(first place) crashtest.Store {
	return crashtest.Store{
		Name: "postgres-s3", Bucket: true, Open: openShared,
		Make: func(_ context.Context, folder string) error { return first.save(folder) },
		Copy: copyShared, Drop: dropShared,
	}
}

func openShared(ctx context.Context, folder string, h crashtest.Hooks) (*crashtest.Opened, error) {
	p, err := placeOf(folder)
	if err != nil {
		return nil, err
	}
	db, err := pg.Open(ctx, secret.NewString(p.DSN), pg.Options{Name: "files"})
	if err != nil {
		return nil, err
	}
	endpoint, shut, err := between(ctx, p.Endpoint, h)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	blobs, err := s3.New(s3.Options{
		Endpoint: endpoint, Bucket: p.Bucket, Prefix: p.Prefix, PathStyle: true, AccessKey: secret.NewString(p.Access), SecretKey: secret.NewString(p.Secret),
		PartBytes: 5 << 20, Memory: 40 << 20, Tries: 2, At: h.At,
	})
	if err != nil {
		return nil, errors.Join(err, shut(), db.Close())
	}
	rows := postgres.New(db, nil)
	var bytes files.Blobs = blobs
	if h.Read != nil {
		bytes = readable{blobs, h.Read}
	}
	return &crashtest.Opened{Catalog: rows, Blobs: bytes, Close: func() error {
		rows.Close()
		return errors.Join(blobs.Close(), shut(), db.Close())
	}}, nil
}

// between is a proxy in front of the store that refuses what hooks refuse.
func between(ctx context.Context, endpoint string, h crashtest.Hooks) (address string, shut func() error, err error) {
	if h.Ask == nil {
		return endpoint, func() error { return nil }, nil
	}
	behind, err := url.Parse(endpoint)
	if err != nil {
		return "", nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: proxy{behind.Host, h}, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), server.Close, nil
}

type proxy struct {
	behind string
	hooks  crashtest.Hooks
}

// ServeHTTP implements http.Handler.
func (p proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := disk.CallRead
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		kind = disk.CallWrite
	case http.MethodDelete:
		kind = disk.CallRemove
	}
	if status := p.hooks.Ask(kind); status != 0 {
		_, _ = io.Copy(io.Discard, r.Body) // a store takes the request first
		w.WriteHeader(status)
		fmt.Fprint(w, "<Error><Code>Made up</Code></Error>")
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", p.behind // its Host stays: it is signed
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body) // who has gone has gone
}

// readable is a bucket in which each read of the core is one of the matrix.
type readable struct {
	*s3.Blobs
	read func() error
}

// Open implements files.Blobs.
func (b readable) Open(ctx context.Context, id files.BlobID, size int64) (files.BlobSource, error) {
	src, err := b.OpenLater(ctx, id, size)
	if err == nil {
		err = src.Reach(0)
	}
	return src, err
}

// OpenLater implements files.RemoteBlobs.
func (b readable) OpenLater(ctx context.Context, id files.BlobID, size int64) (files.LaterSource, error) {
	src, err := b.Blobs.OpenLater(ctx, id, size)
	return watchedSource{src, b.read}, err
}

type watchedSource struct {
	files.LaterSource
	read func() error
}

// Read implements io.Reader.
func (s watchedSource) Read(p []byte) (int, error) {
	if err := s.read(); err != nil {
		return 0, err
	}
	return s.LaterSource.Read(p)
}

// ReadAt implements io.ReaderAt.
func (s watchedSource) ReadAt(p []byte, at int64) (int, error) {
	if err := s.read(); err != nil {
		return 0, err
	}
	return s.LaterSource.ReadAt(p, at)
}

// copyShared makes a cell's own world: a database from the world's, and the objects under a prefix of their own.
func copyShared(ctx context.Context, from, to string) error {
	world, err := placeOf(from)
	if err != nil {
		return err
	}
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, filepath.Base(to)))
	dsn, err := url.Parse(world.DSN)
	if err != nil {
		return err
	}
	source := strings.TrimPrefix(dsn.Path, "/")
	cell := world
	cell.Prefix, dsn.Path = name+"/", "/"+source+"_"+name
	cell.DSN = dsn.String()
	err = inDatabase(ctx, world.DSN, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, source),
		fmt.Sprintf(`CREATE DATABASE %s_%s TEMPLATE %s`, source, name, source))
	if err != nil {
		return err
	}
	client := world.store().Client()
	out, err := client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &world.Bucket, Prefix: &world.Prefix})
	if err != nil {
		return err
	}
	for _, object := range out.Contents {
		key := aws.ToString(object.Key)
		_, err := client.CopyObject(ctx, &awss3.CopyObjectInput{
			Bucket: &world.Bucket, Key: aws.String(cell.Prefix + strings.TrimPrefix(key, world.Prefix)), CopySource: aws.String(world.Bucket + "/" + key),
		})
		if err != nil {
			return err
		}
	}
	return cell.save(to)
}

// dropShared forgets a cell's database. Its objects go with the store.
func dropShared(ctx context.Context, folder string) error {
	p, err := placeOf(folder)
	if err != nil {
		return err
	}
	dsn, err := url.Parse(p.DSN)
	if err != nil {
		return err
	}
	return inDatabase(ctx, p.DSN, fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, strings.TrimPrefix(dsn.Path, "/")))
}

// inDatabase runs statements beside a database, in the one that is there for that.
func inDatabase(ctx context.Context, dsn string, statements ...string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	u.Path = "/postgres"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, e := conn.Exec(ctx, s); e != nil {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

var emptyCatalogue = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	d, err := pg.Open(ctx, dsn, pg.Options{Name: "files"})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx, postgres.Migrations()), d.Close())
})

// newPlace is a store with nothing in it.
func newPlace(t *testing.T) crashtest.Store {
	t.Helper()
	b := s3test.Container(t)
	return shared(place{
		DSN: emptyCatalogue.New(t).Reveal(), Endpoint: b.Endpoint, Bucket: b.Name,
		Access: b.AccessKey.Reveal(), Secret: b.SecretKey.Reveal(), Prefix: "world/",
	})
}

// TestRun_PostgresAndABucket breaks replicas' stores: at a few steps, or at all of them for `make test-chaos`.
func TestRun_PostgresAndABucket(t *testing.T) {
	opts := options(t, "sound")
	opts.Store, opts.Steps, opts.Faults = newPlace(t), []string{"part", "piece", "read"}, []crashtest.Fault{crashtest.Kill}
	runs := []crashtest.Options{opts}
	if os.Getenv("CRASHTEST_ALL") != "" {
		var own, common []string
		for _, s := range opts.Store.Steps() {
			if slices.ContainsFunc(crashtest.Steps, func(o crashtest.Step) bool { return o.Name == s.Name }) {
				common = append(common, s.Name)
			} else {
				own = append(own, s.Name)
			}
		}
		runs = []crashtest.Options{opts, opts}
		runs[0].Steps, runs[0].Faults = own, nil
		runs[1].Store, runs[1].Steps = newPlace(t), common // what the core does about passing faults is the same on a disk, and shown there
	}
	for _, opts := range runs {
		report := matrix(t, opts)
		var table strings.Builder
		if err := report.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		t.Logf("\n%s", table.String())
		for _, c := range report.Cells {
			if len(c.Problems) > 0 || c.ReadBack == 0 {
				said, _ := os.ReadFile(filepath.Join(c.Folder, "child.log"))
				t.Errorf("%s\n%s", c.Line(), said[max(0, len(said)-2000):])
			}
		}
	}
}
