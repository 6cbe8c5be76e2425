import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.formats.avro.registry.confluent.AvroConfluentFormatOptions;
import org.apache.flink.formats.avro.registry.confluent.RegistryAvroFormatFactory;
import org.apache.flink.formats.json.JsonFormatFactory;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.DataType;

/** One row of a table of nullable columns, by formats for Kafka, with the registry that is named, a line each. */
public final class Flink {
  private static final TimestampData MOMENT = TimestampData.fromInstant(Instant.parse("2026-03-04T04:06:07.890Z"));

  public static void main(String[] arguments) throws Exception {
    Configuration options = new Configuration();
    options.set(AvroConfluentFormatOptions.URL, arguments[0]);
    options.set(AvroConfluentFormatOptions.SUBJECT, "flink-value");
    show("Flink, avro-confluent", new RegistryAvroFormatFactory(), options, false);
    show("Flink, json", new JsonFormatFactory(), new Configuration(), true);
  }

  private static void show(String name, SerializationFormatFactory factory, Configuration options, boolean withZone) throws Exception {
    List<DataTypes.Field> types = new ArrayList<>(List.of(
        DataTypes.FIELD("whole", DataTypes.BIGINT()),
        DataTypes.FIELD("decimal", DataTypes.DECIMAL(4, 2)),
        DataTypes.FIELD("single", DataTypes.FLOAT()),
        DataTypes.FIELD("day", DataTypes.DATE()),
        DataTypes.FIELD("clock", DataTypes.TIME(0)),
        DataTypes.FIELD("local", DataTypes.TIMESTAMP(3)),
        DataTypes.FIELD("bytes", DataTypes.BYTES()),
        DataTypes.FIELD("nothing", DataTypes.STRING())));
    GenericRowData properties = new GenericRowData(withZone ? 9 : 8);
    properties.setField(0, 42L);
    properties.setField(1, DecimalData.fromBigDecimal(new BigDecimal("12.30"), 4, 2));
    properties.setField(2, 12.34f);
    properties.setField(3, (int) LocalDate.parse("2026-03-04").toEpochDay());
    properties.setField(4, (int) (LocalTime.parse("05:06:07").toNanoOfDay() / 1_000_000));
    properties.setField(5, TimestampData.fromLocalDateTime(LocalDateTime.parse("2026-03-04T05:06:07.890")));
    properties.setField(6, new byte[] {1, 2});
    if (withZone) {
      types.add(DataTypes.FIELD("moment", DataTypes.TIMESTAMP_LTZ(3)));
      properties.setField(8, MOMENT);
    }
    DataType type = DataTypes.ROW(
        DataTypes.FIELD("type", DataTypes.STRING()),
        DataTypes.FIELD("userId", DataTypes.STRING()),
        DataTypes.FIELD("event", DataTypes.STRING()),
        DataTypes.FIELD("timestamp", DataTypes.TIMESTAMP(3)),
        DataTypes.FIELD("properties", DataTypes.ROW(types.toArray(DataTypes.Field[]::new)))).notNull();
    RowData row = GenericRowData.of(
        StringData.fromString("track"), StringData.fromString("42"), StringData.fromString("Serialized"), MOMENT, properties);
    SerializationSchema<RowData> format = factory.createEncodingFormat(null, options).createRuntimeEncoder(null, type);
    format.open(null);
    System.out.println(name + "\t" + Base64.getEncoder().encodeToString(format.serialize(row)));
  }
}
