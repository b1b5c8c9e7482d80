# Draws single faults for a stock Immich database: a statement, and how the fault must be named by whoever looks for it.
#
#     my $mutations = Mutations->new(Fixture::Catalog->native(68), $random);
#     my $mutation = $mutations->draw('index');
#     # { kind, sql, named => qr/missing: index "..." of table "..."/, check => [ 'schema', 'additions' ] }
#
# $random->(N) gives a number from 0 to N - 1. A statement need not work on every database (a column that others depend on, a
# unique index over rows that are alike): who draws, tries. check: the row of gallery_revert_check() that names it on a stock
# database, absent where that has nothing to compare with.
package Mutations;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use Fixture::Ddl;
use Fixture::Facts;

our @EXPORT_OK = qw(@kinds);
our @kinds = ('table', 'column', 'column type', 'default', 'nullability', 'index', 'unique', 'constraint', 'trigger', 'function', 'enum',
	'sequence', 'override', 'ledger row', 'ledger order', 'native rows');

# What is no drift whether it is there or not, and what holds the ledgers, without which the revert's own last steps fail.
my $by_name = join '|', qw(geodata_places naturalearth_countries clip_index face_index
	migrations typeorm_metadata system_config socket_io_attachments);
my $variable = qr/^($by_name)/;
my $ledgers = qr/^(kysely_migrations|kysely_migrations_lock|migration_overrides)$/;

# Rows that a step's cascades and triggers change as well, so that the step's own count is a lower bound only.
my %may_follow = (
	insert => { map { $_ => 1 } qw(asset_face_audit person_audit person_group_audit memory_audit memory_asset_audit asset_edit_audit) },
	update => { map { $_ => 1 } qw(asset_face person asset workflow_log) },
	delete => { map { $_ => 1 } qw(face_search person person_user memory_asset shared_link_asset plugin_method workflow_step workflow_log
		plugin_action plugin_filter workflow_action workflow_filter integrity_report) });

sub new
{
	my ($class, $catalog, $count, $random) = @_;
	my $self = bless { catalog => $catalog, count => $count, random => $random, serial => 0 }, $class;
	foreach my $kind (qw(table column index constraint trigger function enum sequence override))
	{
		$self->{$kind} = [ grep { $_->{table} !~ $variable && $_->{name} !~ $variable } $catalog->all($kind) ];
	}
	$self->{free} = [ grep { $_->{name} !~ $ledgers } @{ $self->{table} } ];
	return $self;
}

sub _pick { my ($self, @list) = @_; return $list[ $self->{random}->(scalar @list) ] }
sub _any { my ($self, $kind, $want) = @_; return $self->_pick(grep { !$want || $want->($_) } @{ $self->{$kind} }) }
sub _new_name { my ($self) = @_; return 'my_' . ++$self->{serial} }
sub _id { return Fixture::Ddl::ident($_[0]) }

# What the fault is called.
sub _named
{
	my ($what, $kind, $name, $table) = @_;
	my $text = qq($what: $kind "$name") . (defined $table && $table ne '' && $kind ne 'table' ? qq( of table "$table") : '');
	return qr/^\Q$text\E(,|$)/m;
}

sub draw
{
	my ($self, $kind) = @_;
	my $draw = __PACKAGE__->can('_' . $kind =~ tr/ /_/r);
	my ($sql, $named, @check) = $draw->($self);
	return { kind => $kind, sql => $sql, named => $named, check => \@check };
}

sub _table
{
	my ($self) = @_;
	my $table = $self->_pick(@{ $self->{free} })->{name};
	my $new = $self->_new_name;
	return $self->_pick(
		[ "DROP TABLE " . _id($table) . " CASCADE", _named('missing', 'table', $table), 'schema' ],
		[ "ALTER TABLE " . _id($table) . " RENAME TO $new", _named('missing', 'table', $table), 'schema' ],
		[ "CREATE TABLE $new (id int)", _named('extra', 'table', $new), 'additions' ])->@*;
}

sub _column
{
	my ($self) = @_;
	my $column = $self->_any('column', sub { $_[0]{table} !~ $ledgers });
	my ($table, $name, $new) = (@$column{qw(table name)}, $self->_new_name);
	my $alter = 'ALTER TABLE ' . _id($table);
	return $self->_pick(
		[ "$alter DROP COLUMN " . _id($name) . ' CASCADE', _named('missing', 'column', $name, $table), 'schema' ],
		[ "$alter RENAME COLUMN " . _id($name) . " TO $new", _named('missing', 'column', $name, $table), 'schema' ],
		[ "$alter ADD COLUMN $new text", _named('extra', 'column', $new, $table), 'additions' ])->@*;
}

my %other_type = (
	'uuid' => 'text', 'text' => 'character varying(77)', 'boolean' => 'text', 'integer' => 'bigint', 'bigint' => 'numeric',
	'double precision' => 'real', 'real' => 'numeric', 'jsonb' => 'json', 'json' => 'text', 'date' => 'timestamp', 'bytea' => 'text',
	'timestamp with time zone' => 'timestamp without time zone');

sub _column_type
{
	my ($self) = @_;
	my $column = $self->_any('column');
	my ($type) = $column->{def} =~ /^(.*?)( not null| default | generated | identity |$)/;
	my $other = $other_type{$type} // ($type =~ /^character varying(\(\d+\))?$/ ? $self->_pick('text', 'character varying(201)') : 'text');
	return ('ALTER TABLE ' . _id($column->{table}) . ' ALTER COLUMN ' . _id($column->{name})
			. " TYPE $other USING " . _id($column->{name}) . "::text::$other",
		_named('different', 'column', $column->{name}, $column->{table}), 'schema');
}

my %other_default = (
	uuid => q('00000000-0000-4000-8000-000000000000'), boolean => q('t' = 't'), integer => '-42', bigint => '-42',
	jsonb => q('{"my": 1}'), json => q('{"my": 1}'), 'double precision' => '-42', real => '-42',
	'timestamp with time zone' => q('2001-01-01 00:00:00+00'), 'timestamp without time zone' => q('2001-01-01 00:00:00'),
	date => q('2001-01-01'));

sub _default
{
	my ($self) = @_;
	my $column = $self->_any('column', sub { $_[0]{def} !~ / identity | generated / });
	my ($type) = $column->{def} =~ /^(.*?)( not null| default |$)/;
	my $alter = 'ALTER TABLE ' . _id($column->{table}) . ' ALTER COLUMN ' . _id($column->{name});
	my $drop = $column->{def} =~ / default / && $self->{random}->(2);
	my $other = $other_default{$type} // ($type =~ /\[\]$/ ? q('{}') : q('my'));
	return ($drop ? "$alter DROP DEFAULT" : "$alter SET DEFAULT $other",
		_named('different', 'column', $column->{name}, $column->{table}), 'schema');
}

sub _nullability
{
	my ($self) = @_;
	my $column = $self->_any('column');
	return ('ALTER TABLE ' . _id($column->{table}) . ' ALTER COLUMN ' . _id($column->{name})
			. ($column->{def} =~ / not null/ ? ' DROP' : ' SET') . ' NOT NULL',
		_named('different', 'column', $column->{name}, $column->{table}), 'schema');
}

sub _index
{
	my ($self) = @_;
	my $index = $self->_any('index');
	my ($table, $name, $def, $new) = (@$index{qw(table name def)}, $self->_new_name);
	my $drop = 'DROP INDEX ' . _id($name);
	my $column = $self->_any('column', sub { $_[0]{table} eq $table });
	my ($rest) = $def =~ /(USING .*)/;
	return $self->_pick(
		[ $drop, _named('missing', 'index', $name, $table), 'schema' ],
		[ 'ALTER INDEX ' . _id($name) . " RENAME TO $new", _named('missing', 'index', $name, $table), 'schema' ],
		[ "CREATE INDEX $new ON " . _id($table) . ' (' . _id($column->{name}) . ')', _named('extra', 'index', $new, $table), 'additions' ],
		[ "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '" . _id($name) . "'::regclass",
			_named('different', 'index', $name, $table), 'schema' ],
		[ "$drop; CREATE INDEX " . _id($name) . ' ON ' . _id($table) . " $rest" . ($rest =~ / WHERE / ? ' AND' : ' WHERE') . ' (1 = 1)',
			_named('different', 'index', $name, $table), 'schema' ],
		[ "$drop; CREATE INDEX " . _id($name) . ' ON ' . _id($table) . ' (' . _id($column->{name}) . ', (1 + 1))',
			_named('different', 'index', $name, $table), 'schema' ])->@*;
}

sub _unique
{
	my ($self) = @_;
	my $index = $self->_any('index', sub { $_[0]{def} =~ /^UNIQUE / });
	my ($table, $name) = @$index{qw(table name)};
	my ($rest) = $index->{def} =~ /(USING .*)/;
	my ($constraint) = grep { $_->{name} eq $name && $_->{table} eq $table } @{ $self->{constraint} };
	my $plain = 'CREATE INDEX ' . _id($name) . ' ON ' . _id($table) . " $rest";
	if (!$constraint)
	{
		my ($not) = $self->_pick(grep { $_->{def} !~ /^UNIQUE / && $_->{def} =~ /USING btree/ } @{ $self->{index} });
		return $self->_pick(
			[ 'DROP INDEX ' . _id($name) . "; $plain", _named('different', 'index', $name, $table), 'schema' ],
			[ 'DROP INDEX ' . _id($not->{name}) . '; CREATE UNIQUE INDEX ' . _id($not->{name}) . ' ON ' . _id($not->{table}) . " $not->{def}",
				_named('different', 'index', $not->{name}, $not->{table}), 'schema' ])->@*;
	}
	my $drop = 'ALTER TABLE ' . _id($table) . ' DROP CONSTRAINT ' . _id($name);
	return $self->_pick(
		[ "$drop CASCADE", _named('missing', 'constraint', $name, $table), 'schema' ],
		[ "$drop CASCADE; $plain", _named('different', 'index', $name, $table), 'schema' ],
		[ "$drop; ALTER TABLE " . _id($table) . ' ADD CONSTRAINT ' . _id($name) . " $constraint->{def} DEFERRABLE",
			_named('different', 'constraint', $name, $table), 'schema' ])->@*;
}

sub _constraint
{
	my ($self) = @_;
	my $constraint = $self->_any('constraint');
	my ($table, $name, $def, $new) = (@$constraint{qw(table name def)}, $self->_new_name);
	my $alter = 'ALTER TABLE ' . _id($table);
	my $drop = "$alter DROP CONSTRAINT " . _id($name);
	my @other = ([ "$drop CASCADE", _named('missing', 'constraint', $name, $table), 'schema' ],
		[ "$alter RENAME CONSTRAINT " . _id($name) . " TO $new", _named('missing', 'constraint', $name, $table), 'schema' ],
		[ "$alter ADD CONSTRAINT $new CHECK (true)", _named('extra', 'constraint', $new, $table), 'schema' ],
		[ "UPDATE pg_constraint SET convalidated = false WHERE conname = '$name' AND conrelid = '" . _id($table) . "'::regclass",
			_named('different', 'constraint', $name, $table), 'schema' ]);
	if ($def =~ /^FOREIGN KEY/)
	{
		my $delete = $def =~ /ON DELETE CASCADE/ ? $def =~ s/ON DELETE CASCADE/ON DELETE RESTRICT/r : "$def ON DELETE CASCADE";
		push @other, [ "$drop; $alter ADD CONSTRAINT " . _id($name) . " $delete", _named('different', 'constraint', $name, $table), 'schema' ],
			[ "$alter ALTER CONSTRAINT " . _id($name) . ' DEFERRABLE', _named('different', 'constraint', $name, $table), 'schema' ],
			[ "$drop; $alter ADD CONSTRAINT " . _id($name) . " $def NOT VALID", _named('different', 'constraint', $name, $table), 'schema' ];
	}
	if ($def =~ /^CHECK/)
	{
		push @other, [ "$drop; $alter ADD CONSTRAINT " . _id($name) . ' CHECK (true)',
			_named('different', 'constraint', $name, $table), 'schema' ];
	}
	return $self->_pick(@other)->@*;
}

sub _trigger
{
	my ($self) = @_;
	my $trigger = $self->_any('trigger');
	my ($table, $name, $def, $new) = (@$trigger{qw(table name def)}, $self->_new_name);
	my $drop = 'DROP TRIGGER ' . _id($name) . ' ON ' . _id($table);
	my $alter = 'ALTER TABLE ' . _id($table);
	my $other = $def =~ /^BEFORE/ ? $def =~ s/^BEFORE/AFTER/r : $def =~ s/EXECUTE FUNCTION \w+\(/EXECUTE FUNCTION updated_at(/r;
	return $self->_pick(
		[ $drop, _named('missing', 'trigger', $name, $table), 'schema' ],
		[ "ALTER TRIGGER " . _id($name) . ' ON ' . _id($table) . " RENAME TO $new", _named('missing', 'trigger', $name, $table), 'schema' ],
		[ "CREATE TRIGGER $new BEFORE UPDATE ON " . _id($table) . ' FOR EACH ROW EXECUTE FUNCTION updated_at()',
			_named('extra', 'trigger', $new, $table), 'additions' ],
		[ "$alter DISABLE TRIGGER " . _id($name), _named('different', 'trigger', $name, $table), 'schema' ],
		[ "$alter ENABLE " . $self->_pick('ALWAYS', 'REPLICA') . ' TRIGGER ' . _id($name),
			_named('different', 'trigger', $name, $table), 'schema' ],
		[ "$drop; CREATE TRIGGER " . _id($name) . " $other", _named('different', 'trigger', $name, $table), 'schema' ])->@*;
}

sub _function
{
	my ($self) = @_;
	my $function = $self->_any('function');
	my ($name, $new) = ($function->{name}, $self->_new_name);
	my ($result, $language, $volatility) = $function->{def} =~ /^(.+) (plpgsql|sql) ([isv]) body md5 /;
	my ($args) = $name =~ /(\(.*)/;
	my %word = (i => 'IMMUTABLE', s => 'STABLE', v => 'VOLATILE');
	my $other = $self->_pick(grep { $_ ne $volatility } sort keys %word);
	my $nothing = q(LANGUAGE internal AS 'suppress_redundant_updates_trigger');
	my $as = $result eq 'trigger' ? $nothing : q(LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END');
	my $bare = $name =~ s/\(.*//r;
	return $self->_pick(
		[ "DROP FUNCTION $name CASCADE", _named('missing', 'function', $name), 'schema' ],
		[ "ALTER FUNCTION $name $word{$other}", _named('different', 'function', $name), 'schema' ],
		[ "ALTER FUNCTION $name RENAME TO $new", _named('missing', 'function', $name), 'schema' ],
		[ "CREATE FUNCTION $new$args RETURNS $result $as", _named('extra', 'function', "$new$args"), 'schema' ],
		[ "CREATE FUNCTION $bare(my circle) RETURNS int LANGUAGE sql AS 'SELECT 1'",
			_named('extra', 'function', "$bare(my circle)"), 'schema' ],
		[ "DROP FUNCTION $name CASCADE; CREATE FUNCTION $name RETURNS "
				. ($result eq 'trigger' ? q(text LANGUAGE sql AS 'SELECT ''''::text') : "trigger $as"),
			_named('different', 'function', $name), 'schema' ],
		[ "DROP FUNCTION $name CASCADE; CREATE FUNCTION $name RETURNS $result $word{$volatility} " . ($language eq 'sql' ? $as : $nothing),
			_named('different', 'function', $name), 'schema' ])->@*;
}

sub _enum
{
	my ($self) = @_;
	my $enum = $self->_any('enum');
	my ($name, $new) = ($enum->{name}, $self->_new_name);
	my $value = $self->_pick(split /,/, $enum->{def});
	return $self->_pick(
		[ "ALTER TYPE $name ADD VALUE 'my'", _named('different', 'enum', $name), 'schema' ],
		[ "ALTER TYPE $name ADD VALUE 'my' BEFORE '$value'", _named('different', 'enum', $name), 'schema' ],
		[ "ALTER TYPE $name RENAME VALUE '$value' TO 'my'", _named('different', 'enum', $name), 'schema' ],
		[ "ALTER TYPE $name RENAME TO $new", _named('missing', 'enum', $name), 'schema' ],
		[ "CREATE TYPE $new AS ENUM ('a', 'b')", _named('extra', 'enum', $new), 'additions' ])->@*;
}

sub _sequence
{
	my ($self) = @_;
	my $new = $self->_new_name;
	my @there = @{ $self->{sequence} };
	return ("CREATE SEQUENCE $new", _named('extra', 'sequence', $new), 'additions') if !@there || $self->{random}->(3) == 0;
	my $name = $self->_pick(@there)->{name};
	return $self->_pick(
		[ "DROP SEQUENCE $name CASCADE", _named('missing', 'sequence', $name), 'schema' ],
		[ "ALTER SEQUENCE $name RENAME TO $new", _named('missing', 'sequence', $name), 'schema' ])->@*;
}

sub _override
{
	my ($self) = @_;
	my ($name, $new) = ($self->_any('override')->{name}, $self->_new_name);
	return $self->_pick(
		[ "DELETE FROM migration_overrides WHERE name = '$name'", _named('missing', 'override', $name), 'schema' ],
		[ "UPDATE migration_overrides SET name = 'index_$new' WHERE name = '$name'", _named('missing', 'override', $name), 'schema' ],
		[ "INSERT INTO migration_overrides VALUES ('index_$new', '{}')", _named('extra', 'override', "index_$new"), 'additions' ],
		[ "UPDATE migration_overrides SET value = '{}' WHERE name = '$name'",
			qr/^table "migration_overrides": \d+ rows updated, expected \d+$/m ])->@*;
}

sub _ledger_row
{
	my ($self) = @_;
	my @names = Fixture::Facts::immich_migrations();
	my $name = $names[ $self->{random}->($self->{count} - 1) ];
	my $new = '18' . sprintf('%011d', $self->{random}->(1_000_000_000)) . '-My';
	my $fork = $self->_pick(map { $_->{name} } Fixture::Facts::gallery_migrations());
	my $insert = sub { "INSERT INTO kysely_migrations VALUES ('$_[0]', '2026-12-01T00:00:00.000Z') ON CONFLICT DO NOTHING" };
	my $named = sub { qr/^ledger: .*"\Q$_[0]\E"/m };
	my @other = (
		[ "DELETE FROM kysely_migrations WHERE name = '$name'", $named->($name), 'ledger order' ],
		[ "DELETE FROM kysely_migrations WHERE name = '$names[ $self->{count} - 1 ]'", $named->($names[ $self->{count} - 1 ]) ],
		[ $insert->($new), $named->($new), 'migrations' ],
		[ $insert->($fork), $named->($fork) ],
		[ "UPDATE kysely_migrations SET name = '$new' WHERE name = '$name'", $named->($new), 'migrations' ]);
	push @other, [ $insert->($names[ $self->{count} ]), $named->($names[ $self->{count} ]) ] if $self->{count} < @names;
	return $self->_pick(@other)->@*;
}

sub _ledger_order
{
	my ($self) = @_;
	my @names = (Fixture::Facts::immich_migrations())[ 0 .. $self->{count} - 1 ];
	my $i = $self->{random}->(scalar(@names) - 2) + 1;
	my $named = sub { qr/^ledger: "\Q$_[0]\E" in place/m };
	my $set = sub { "UPDATE kysely_migrations SET timestamp = '$_[1]' WHERE name = '$names[$_[0]]'" };
	return $self->_pick(
		[ $set->($i, '2001-01-01T00:00:00.000Z'), $named->($names[$i]), 'ledger order' ],
		[ $set->($i, '2031-01-01T00:00:00.000Z'), $named->($names[$i]), 'ledger order' ],
		[ $set->($i, 'once'), $named->($names[$i]), 'ledger order' ],
		[ 'UPDATE kysely_migrations k SET timestamp = o.timestamp FROM kysely_migrations o'
				. " WHERE k.name <> o.name AND k.name IN ('$names[0]', '$names[$i]') AND o.name IN ('$names[0]', '$names[$i]')",
			$named->($names[$i]), 'ledger order' ])->@*;
}

sub _native_rows
{
	my ($self) = @_;
	my $how = $self->_pick(qw(insert update delete));
	my $table = $self->_pick(grep { !$may_follow{$how}{$_} } map { $_->{name} } @{ $self->{free} });
	my $id = _id($table);
	my @columns = $self->{catalog}->all('column', $table);
	my %value = (
		uuid => 'gen_random_uuid()', integer => '42', bigint => '42', boolean => 'true', jsonb => q('{}'), smallint => '42',
		'double precision' => '42', 'timestamp with time zone' => 'now()');
	my @needed = grep { $_->{def} =~ / not null/ && $_->{def} !~ / default | identity / } @columns;
	my $values = join ', ', map { my ($type) = $_->{def} =~ /^(.*?) not null/; $value{$type} // q('my') } @needed;
	my %sql = (
		insert => "INSERT INTO $id " . (@needed ? '(' . join(', ', map { _id($_->{name}) } @needed) . ") VALUES ($values)" : 'DEFAULT VALUES'),
		update => "UPDATE $id SET " . _id($columns[0]{name}) . ' = ' . _id($columns[0]{name}) . " WHERE ctid = (SELECT min(ctid) FROM $id)",
		delete => "DELETE FROM $id WHERE ctid = (SELECT min(ctid) FROM $id)");
	# Nothing that changes no row is a fault.
	my $sql = "DO \$do\$ DECLARE n bigint; BEGIN $sql{$how}; GET DIAGNOSTICS n = ROW_COUNT; IF n <> 1 THEN RAISE 'no row'; END IF; END \$do\$";
	my %done = (insert => 'inserted', update => 'updated', delete => 'deleted');
	return ($sql, qr/^table "\Q$table\E": \d+ rows $done{$how}, expected (?:at most )?\d+$/m);
}

1;
