-- Tables of github.com/aikagi/aikagi/store/sqlstore, version 1.
-- For PostgreSQL 13 or later. Run it in one transaction: psql -1 -f.

create table aikagi_record (
	key     text collate "C" primary key,
	version text collate "C" not null,
	value   bytea not null,
	tags    text[] not null,
	expires timestamptz not null
) with (
	-- A Replace that leaves tags and expiry alone finds room beside the old
	-- row and touches no index.
	fillfactor = 85,
	-- Most rows live for minutes. Do not wait until a fifth of all are dead.
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_analyze_scale_factor = 0.05
);

create index aikagi_record_expires on aikagi_record (expires);

-- Which records bear a tag, in key order. Kept by the triggers below: their
-- statements run while the record's row is locked and see what was committed
-- before, so that the two tables agree whatever meets whatever.
create table aikagi_tag (
	tag text collate "C" not null,
	key text collate "C" not null,
	primary key (tag, key)
);

create function aikagi_tags_follow() returns trigger language plpgsql as $$
begin
	if tg_op <> 'INSERT' then
		delete from aikagi_tag where tag = any (old.tags) and key = old.key;
	end if;
	if tg_op <> 'DELETE' then
		insert into aikagi_tag (tag, key)
		select distinct tag, new.key from unnest(new.tags) as t (tag)
		on conflict do nothing;
	end if;
	return null;
end
$$;

-- Records without tags, which are most, do not pay for the others.
create trigger aikagi_tags_insert after insert on aikagi_record
	for each row when (new.tags <> '{}') execute function aikagi_tags_follow();
create trigger aikagi_tags_update after update of tags on aikagi_record
	for each row when (new.tags <> old.tags) execute function aikagi_tags_follow();
create trigger aikagi_tags_delete after delete on aikagi_record
	for each row when (old.tags <> '{}') execute function aikagi_tags_follow();

-- One row: the version of these tables, and the oldest version whose programs
-- can work with them.
create table aikagi_schema (
	version int not null,
	oldest  int not null
);

insert into aikagi_schema (version, oldest) values (1, 1);
