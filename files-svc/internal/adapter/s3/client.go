package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"cloakroom.dev/libs/fault"
)

// maxConnections bounds what is open to the store at once; calls beyond it wait, within their deadline. Calls that a store may take
// long over have a share of their own.
const (
	maxConnections = 256
	maxPatient     = 64
)

// newClient makes a client that knows what it is told and nothing else: no profile, no environment, no instance's role.
//
// patient is for calls that a store may take long over before it answers; any other gets a new try, over another
// connection, when its answer does not begin within a third of its time.
func newClient(opts Options) (client *s3.Client, patient func(*s3.Options), idle func(), err error) {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: opts.CallTimeout / 3,
		MaxConnsPerHost: maxConnections - maxPatient, MaxIdleConnsPerHost: 64, IdleConnTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second, DisableCompression: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(opts.CA) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(opts.CA) {
			return nil, nil, nil, errors.New("s3: the CA file holds no certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = opts.Tries
		o.Backoff = retry.BackoffDelayerFunc(func(try int, _ error) (time.Duration, error) {
			return rand.N(100 * time.Millisecond << min(try, 5)), nil //nolint:gosec // not a secret
		})
	})
	client = s3.New(s3.Options{
		BaseEndpoint: aws.String(opts.Endpoint), Region: opts.Region, UsePathStyle: opts.PathStyle,
		Credentials: credentials.NewStaticCredentialsProvider(opts.AccessKey.Reveal(), opts.SecretKey.Reveal(), ""),
		HTTPClient:  &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
		Retryer:     retryer,
		// Checksums in trailers are what many S3-likes break on. Ours are sent as plain headers, by who wants them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	slow := transport.Clone()
	slow.MaxConnsPerHost, slow.MaxIdleConnsPerHost = maxPatient, 8
	slow.ResponseHeaderTimeout = 0 // the call's own deadline holds
	patient = func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: slow, CheckRedirect: refuseRedirect} }
	return client, patient, func() {
		transport.CloseIdleConnections()
		slow.CloseIdleConnections()
	}, nil
}

// refuseRedirect keeps a store from sending signed requests elsewhere.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// call makes a call without a body of size: it has CallTimeout, and is measured.
func (b *Blobs) call(ctx context.Context, operation string, do func(ctx context.Context) error) error {
	return b.callFor(ctx, operation, b.opts.CallTimeout, do)
}

// bodyTime is how long a body of n bytes may take: 256 KiB a second at least.
func (b *Blobs) bodyTime(n int) time.Duration {
	return b.opts.CallTimeout + time.Duration(n/(256<<10))*time.Second
}

func (b *Blobs) callFor(ctx context.Context, operation string, limit time.Duration, do func(ctx context.Context) error) error {
	b.metrics.inFlight.Inc()
	defer b.metrics.inFlight.Dec()
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(limited)
	b.metrics.called(ctx, operation, began, err)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return b.faultOf(ctx, operation, err)
}

// comeAgain is what clients are told to wait for a store that does not answer.
const comeAgain = 5 * time.Second

// faultOf says what a store's refusal means to the core. What is not there is for the caller to say.
func (b *Blobs) faultOf(ctx context.Context, operation string, err error) error {
	code := codeOf(err)
	if isAnswer(code) {
		return err
	}
	switch code {
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge":
		return fault.Wrap(fault.StorageFull, "no room left in the storage", err)
	default:
		if statusOf(err) == http.StatusInsufficientStorage {
			return fault.Wrap(fault.StorageFull, "no room left in the storage", err)
		}
		b.opts.Log.WarnContext(ctx, adviceFor(code), "operation", operation, "bucket", b.opts.Bucket, "endpoint", b.opts.Endpoint, "code", code, "error", err.Error())
		return errors.Join(fault.Retry(fault.Unavailable, "the storage is not available", comeAgain), err)
	}
}

// adviceFor is the log's sentence: what an operator can mend says so.
func adviceFor(code string) string {
	switch code {
	case "RequestTimeTooSkewed":
		return "the store refuses our requests because this machine's clock is wrong"
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled":
		return "the store refuses our keys or what they may do"
	case "NoSuchBucket":
		return "the store has no such bucket"
	default:
		return "the store did not do what it was asked"
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// isAbsent: HEAD has no body to name a code in.
func isAbsent(err error) bool {
	code := codeOf(err)
	return code == "NoSuchKey" || code == "NotFound" || code == "NoSuchUpload" || code == "" && statusOf(err) == http.StatusNotFound
}

func isTaken(err error) bool {
	return codeOf(err) == "PreconditionFailed" || statusOf(err) == http.StatusPreconditionFailed
}

// isAnswer reports whether a code is what a store that works says to this very request.
func isAnswer(code string) bool {
	switch code {
	case "NoSuchKey", "NotFound", "NoSuchUpload", "PreconditionFailed", "ConditionalRequestConflict", "InvalidRange",
		"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "InvalidRequest", "InvalidArgument", "NotImplemented",
		"InvalidPart", "InvalidPartOrder", "EntityTooSmall":
		return true
	default:
		return false
	}
}

// isOddity reports whether a store that works has refused what it does not understand: none of its states, nor our rights.
func isOddity(err error) bool {
	switch status := statusOf(err); status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	default:
		return status >= 400 && status < 500 || status == http.StatusNotImplemented
	}
}

// isAway tells a store that could not be asked from one that has answered.
func isAway(err error) bool {
	return errors.Is(err, fault.Of(fault.Unavailable)) && !isAnswer(codeOf(err)) && !isOddity(err)
}
