-- Tables of github.com/aikagi/aikagi/store/sqlstore, version 1.
-- For SQLite 3.38 or later. Run it in one transaction.

create table aikagi_record (
	key     text primary key,
	version text not null,
	value   blob not null,
	tags    text not null,    -- a JSON array of strings
	expires integer not null  -- seconds since 1970
);

create index aikagi_record_expires on aikagi_record (expires);

-- Which records bear a tag, in key order. Kept by the triggers below.
create table aikagi_tag (
	tag text not null,
	key text not null,
	primary key (tag, key)
) without rowid;

create trigger aikagi_tags_insert after insert on aikagi_record when new.tags <> '[]'
begin
	insert or ignore into aikagi_tag (tag, key) select value, new.key from json_each(new.tags);
end;

create trigger aikagi_tags_update after update of tags on aikagi_record when new.tags <> old.tags
begin
	delete from aikagi_tag where key = old.key and tag in (select value from json_each(old.tags));
	insert or ignore into aikagi_tag (tag, key) select value, new.key from json_each(new.tags);
end;

create trigger aikagi_tags_delete after delete on aikagi_record when old.tags <> '[]'
begin
	delete from aikagi_tag where key = old.key and tag in (select value from json_each(old.tags));
end;

-- One row: the version of these tables, and the oldest version whose programs
-- can work with them.
create table aikagi_schema (
	version integer not null,
	oldest  integer not null
);

insert into aikagi_schema (version, oldest) values (1, 1);
