--
-- PostgreSQL database dump
--

\restrict V6BMaOCkccqYn67IUPFdziVcETySl0kBtgKAktLfKodml6IaAAIO5rqAh5qv7gu

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: touch(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.touch() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN NEW."updatedAt" = now(); RETURN NEW; END; $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: refresh_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refresh_tokens (
    id text NOT NULL,
    token text NOT NULL,
    "userId" text NOT NULL,
    "expiresAt" timestamp without time zone NOT NULL,
    "isRevoked" boolean DEFAULT false,
    "createdAt" timestamp without time zone DEFAULT CURRENT_TIMESTAMP
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id text NOT NULL,
    email text NOT NULL,
    name text,
    password text NOT NULL,
    "isVerified" boolean DEFAULT false,
    "isActive" boolean DEFAULT true,
    "lastLoginAt" timestamp without time zone,
    "createdAt" timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp without time zone DEFAULT CURRENT_TIMESTAMP
);


--
-- Data for Name: refresh_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.refresh_tokens VALUES ('r1', '0123456789abcdef', 'clx0000000001', '2024-03-09 10:00:00', false, '2024-03-02 10:00:00');


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.users VALUES ('clx0000000001', 'john.doe@siteworks.example', 'John Doe', '$2b$10$8KesCWjS6VXcKe9waHKwAuHykaFvLPpdSHFPWYynPoaLZKY8cS8m6', true, true, '2024-03-02 10:00:00', '2024-01-01 00:00:00', '2024-03-02 10:00:00');
INSERT INTO public.users VALUES ('clx0000000002', 'jane.o''neil@siteworks.example', 'Jane "J" O''Neil', '$2b$10$hfCjY8gWGC/RvyjHtJKJIeCHDE8MpGUrY4/mcFdMRux8Wew.Hpw0W', false, true, NULL, '2024-02-29 23:59:59.123', '2024-02-29 23:59:59.123');
INSERT INTO public.users VALUES ('clx0000000003', 'gone@siteworks.example', NULL, '$2b$10$hfCjY8gWGC/RvyjHtJKJIeCHDE8MpGUrY4/mcFdMRux8Wew.Hpw0W', true, false, NULL, '2024-02-01 00:00:00', '2024-02-01 00:00:00');


--
-- Name: refresh_tokens refresh_tokens_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id);


--
-- Name: refresh_tokens refresh_tokens_token_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_token_key UNIQUE (token);


--
-- Name: users users_email_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: users touch; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER touch BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.touch();


--
-- Name: refresh_tokens refresh_tokens_userId_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT "refresh_tokens_userId_fkey" FOREIGN KEY ("userId") REFERENCES public.users(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--

\unrestrict V6BMaOCkccqYn67IUPFdziVcETySl0kBtgKAktLfKodml6IaAAIO5rqAh5qv7gu

